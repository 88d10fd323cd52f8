"""The engines a pool may name: a new engine is one file beside this one and one line here."""

from collections.abc import Mapping

from paddock.api.inferencepool import EngineName
from paddock.plan.engines import llama_cpp, ollama, vllm
from paddock.plan.engines.profile import Profile

PROFILES: Mapping[EngineName, Profile] = {
    profile.name: profile for profile in (ollama.PROFILE, llama_cpp.PROFILE, vllm.PROFILE)
}
