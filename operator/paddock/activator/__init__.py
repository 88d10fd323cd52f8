"""The program that holds requests for a pool at zero, wakes it once, and hands them over."""
