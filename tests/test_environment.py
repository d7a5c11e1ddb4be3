"""pyproject.toml, constraints.txt, environment.yml and CITATION.cff say the same."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA_NAMES = {"pytorch": "torch", "py-opencv": "opencv-python-headless"}
# An Apple and an ARM Linux machine, beside the one that made the numbers.
MACHINES = {
    "linux-x86_64": {"sys_platform": "linux", "platform_machine": "x86_64"},
    "linux-aarch64": {"sys_platform": "linux", "platform_machine": "aarch64"},
    "macos-arm64": {"sys_platform": "darwin", "platform_machine": "arm64"},
}


def project_requirements(*, without: tuple[str, ...] = ()) -> dict[str, Requirement]:
    """Return the core and extra requirements by canonical name."""
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"]]
    lines += [line for name, group in extras.items() if name not in without for line in group]
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): r for r in requirements}


def constraint_lines() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def constraints(machine: str) -> dict[str, str]:
    """Return the pinned version by canonical name, as one kind of machine reads the file."""
    found = {}
    for line in constraint_lines():
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate(MACHINES[machine]):
            (exact,) = pin.specifier
            assert exact.operator == "==", line
            assert canonicalize_name(pin.name) not in found, line
            found[canonicalize_name(pin.name)] = exact.version
    return found


@pytest.mark.parametrize("machine", MACHINES)
def test_constraints_pin_every_requirement_within_its_range(machine):
    pins = constraints(machine)
    for name, requirement in project_requirements().items():
        assert name in pins, f"constraints.txt does not pin {name}"
        assert requirement.specifier.contains(pins[name]), f"{requirement} != {pins[name]}"


def test_requirements_are_ranges():
    for requirement in project_requirements().values():
        operators = {s.operator for s in requirement.specifier}
        assert ">=" in operators, requirement
        assert operators <= {">=", "<"}, requirement


def test_constraints_hold_names_and_versions_only():
    for line in constraint_lines():
        assert re.fullmatch(r"[\w.-]+==[\w.]+(; sys_platform == .+)?", line), line
    assert not re.search(r"://|file:|^-", (ROOT / "constraints.txt").read_text(), re.MULTILINE)


def test_only_the_libraries_of_cuda_depend_on_the_machine():
    marked = [Requirement(line).name for line in constraint_lines() if ";" in line]
    assert marked
    assert all(re.match(r"nvidia-|cuda-|triton$", name) for name in marked), marked


def test_pinned_packages_run_on_the_oldest_python_that_we_promise():
    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    for name, version in constraints("linux-x86_64").items():
        try:
            installed = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # an extra that is not installed here
        if installed["Version"] == version and installed.get("Requires-Python"):
            needs = SpecifierSet(installed.get("Requires-Python"))
            assert needs.contains(oldest), f"{name} {version} needs Python {needs}"


def test_conda_environment_has_the_same_content():
    document = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert document["channels"][0] == "conda-forge"
    entries = [entry for entry in document["dependencies"] if isinstance(entry, str)]
    conda = {}
    for entry in entries:
        requirement = Requirement(entry)
        name = CONDA_NAMES.get(requirement.name, canonicalize_name(requirement.name))
        conda[name] = requirement.specifier
    assert conda.pop("python") == SpecifierSet(PROJECT["requires-python"])
    conda.pop("pip")
    project = {n: r.specifier for n, r in project_requirements(without=("bench",)).items()}
    assert conda == project


def test_conda_environment_gives_a_reason_for_each_package():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    for line in text.splitlines():
        if re.match(r"  - [\w-]+(>=|$| #)", line) and "nodefaults" not in line:
            if line.strip() in ("- conda-forge", "- python>=3.11"):
                continue
            assert re.search(r" # \w.{5,}", line), f"no reason: {line}"


def test_version_is_the_same_everywhere():
    import sglib

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["version"] == sglib.__version__ == str(citation["version"])
    assert citation["license"] == PROJECT["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
