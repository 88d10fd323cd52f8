"""What is measured of engines, and the Collector that brings it away: pure builders."""
