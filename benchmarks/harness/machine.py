"""What the results were measured on."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    *("ai-edge-litert", "dagster", "datasets", "fruits", "keras", "numpy", "pandas", "pillow", "pyarrow", "pyspark"),
    *("ray", "scikit-learn", "tensorflow-cpu", "tensorflow"),
)


def describe_machine() -> dict[str, str | int | float]:
    """Returns processor, cores, memory (GB) and system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory_gb": round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def sentence_of_machine(machine: Mapping[str, str | int | float] | None = None) -> str:
    """Returns a description in a sentence, by default of this machine."""
    told = machine or describe_machine()
    return (
        f"{told['cores']} cores of {told['processor']}, {told['memory_gb']} GB, {told['system']}, "
        f"Python {told['python']}."
    )


def cores() -> int:
    """Returns the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    vector = [name for flag, name in (("avx2", "AVX2"), ("avx512f", "AVX-512"), ("amx_tile", "AMX")) if flag in flags]
    return ", ".join([*(named[:1] or [platform.processor() or "unknown"]), *vector])


def describe_versions() -> dict[str, str]:
    """Returns the versions of what takes part, by package."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
