"""What is published is whole: metadata, README, source and wheel, wherever they are used."""

import ast
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import bnexp

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOMEWHERE = "https://example.org/somebody/bnexp"


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    """Return the module that completes the metadata of a package."""
    pytest.importorskip("hatchling")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_version_is_the_same_everywhere() -> None:
    """The citation and the newest section of the changes are of the package's version."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == bnexp.__version__
    assert citation["license"] == PROJECT["license"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == bnexp.__version__


def test_whatever_the_package_imports_it_requires() -> None:
    """Each module it names is of a package that it requires itself, or of a part of one."""
    extras = PROJECT["optional-dependencies"]
    required = {"omegaconf", "markupsafe", "pydantic-core", "triton"}  # Hydra's, Jinja's, …
    for one in (*PROJECT["dependencies"], *extras["ray"], *extras["slurm"]):
        required.add(_name(one))
    by_module = importlib.metadata.packages_distributions()
    imported = set()
    for path in (ROOT / "bnexp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {one.name.partition(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    assert len(imported) > 40
    for module in imported - sys.stdlib_module_names - {"bnexp"}:
        assert required & set(map(_name, by_module.get(module, ()))), module


def _name(requirement: str) -> str:
    return re.split(r"[^\w-]", requirement)[0].lower().replace("_", "-")


def test_a_readme_alone_leads_to_the_repository(hook: ModuleType) -> None:
    """Each link and picture is absolute then, and of a file that is here or of a heading."""
    shown = hook.by_itself(README, SOMEWHERE)
    targets = re.findall(r"\]\(([^)]+)\)", shown)
    assert len(targets) == len(re.findall(r"\]\(([^)]+)\)", README)) > 15
    for target in targets:
        assert target.startswith("https://")
        if target.startswith(SOMEWHERE) and "#" not in target:
            place = re.fullmatch(r"/(?:raw|blob)/HEAD/(.+)", target.removeprefix(SOMEWHERE))
            assert place is not None
            assert (ROOT / place[1]).exists()
    assert set(hook.urls(SOMEWHERE)) == {"Repository", "Documentation", "Changelog", "Issues"}
    assert all(url.startswith(SOMEWHERE) for url in hook.urls(SOMEWHERE).values())


def test_without_a_repository_nothing_leads_nowhere(hook: ModuleType) -> None:
    """A README of a package that no one can browse has neither pictures nor dead links."""
    shown = hook.by_itself(README, "")
    assert "![" not in shown
    assert all(one.startswith("https://") for one in re.findall(r"\]\(([^)]+)\)", shown))
    assert hook.urls("") == {}


def called(python: Path | str, *arguments: str, folder: Path) -> str:
    """Run an interpreter in a folder that has nothing to do with this checkout."""
    bare = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    done = subprocess.run(
        [str(python), *arguments],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key not in bare},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_a_wheel_of_the_source_works_in_another_folder(tmp_path: Path) -> None:
    """Built, unpacked and built again, installed alone: studies, plan and a run on digits."""
    pytest.importorskip("hatchling")
    python = Path(sys.executable)
    build = ("-m", "hatchling", "build", "-d", str(tmp_path))
    called(python, *build, "-t", "sdist", folder=ROOT)
    (packed,) = tmp_path.glob("*.tar.gz")
    assert packed.stat().st_size < 3 * 2**20
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path, filter="data")
    source = tmp_path / packed.name.removesuffix(".tar.gz")
    assert not (source / "results").exists()
    for name in ("CHANGELOG.md", "CITATION.cff", "LICENSE", "constraints.txt", "tests", "conf"):
        assert (source / name).exists(), name
    called(python, *build, "-t", "wheel", folder=source)
    (wheel,) = tmp_path.glob("*.whl")

    # Of the packages that this interpreter has the new one sees all but bnexp, which is
    # installed into it alone: paths that .pth files of theirs add are none of its own.
    alone = tmp_path / "alone"
    venv.create(alone)
    places = sysconfig.get_paths(vars={"base": str(alone), "platbase": str(alone)})
    called(
        *(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
        *("--target", places["purelib"], str(wheel)),
        folder=tmp_path,
    )
    borrowed = sorted({path for path in sys.path if path.endswith("site-packages")})
    (Path(places["purelib"]) / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    new = Path(places["scripts"]) / "python"
    where = called(new, "-c", "import bnexp; print(bnexp.__file__)", folder=tmp_path)
    assert Path(where.strip()).is_relative_to(alone)
    metadata = importlib.metadata.Distribution.at(
        next(Path(places["purelib"]).glob("bnexp-*.dist-info"))
    ).metadata
    assert metadata["License-Expression"] == "MIT"
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert "Was it the batch normalization" in str(metadata.get_payload())
    assert (Path(places["purelib"]) / "bnexp" / "py.typed").is_file()

    command = ("-m", "bnexp")
    assert "bnexp run study=quickstart" in called(new, *command, "studies", folder=tmp_path)
    rows = called(new, *command, "studies", "--source", "d2l", folder=tmp_path)
    assert "bnexp run study=pooling_vs_bn" in rows
    plan = called(new, *command, "plan", "study=quickstart", folder=tmp_path)
    assert "20 runs" in plan
    few = ("data=digits", "data.train_size=64", "train.epochs=1", "seed=range(2)", "name=few")
    assert "report: " in called(new, *command, "run", "-m", *few, folder=tmp_path)
    (tmp_path / "results" / "few" / "report.html").stat()
