"""A folder belongs to one process at a time, and to one recipe until it is removed."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from gputhermo.errors import InputError
from gputhermo.workfolder import WorkFolder, claimed, make_folder


def begin(path: Path, recipe: str = "seed = 1\n", refusal: str | None = None) -> None:
    """What a run does that is stopped at once."""
    WorkFolder(path, recipe, mismatch="begun otherwise", refusal=refusal).close()


def test_only_the_same_recipe_goes_on(tmp_path: Path):
    path = tmp_path / "work"
    begin(path)
    (path / "part").write_text("done")
    begin(path)
    with pytest.raises(InputError, match="begun otherwise"):
        begin(path, recipe="seed = 2\n")
    with pytest.raises(InputError, match="not again"):
        begin(path, refusal="not again")
    assert {file.name: file.read_text() for file in path.iterdir()} == {"settings.toml": "seed = 1\n", "part": "done"}


def test_a_refused_folder_is_free_for_others(tmp_path: Path):
    begin(tmp_path)
    with pytest.raises(InputError):
        begin(tmp_path, recipe="seed = 2\n")
    begin(tmp_path)


def test_a_folder_of_other_files_is_not_touched(tmp_path: Path):
    (tmp_path / "letter.new").write_text("dear")
    with pytest.raises(InputError, match="holds other files; remove them or choose another folder"):
        begin(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["letter.new"]


def test_what_a_kill_left_half_written_is_deleted(tmp_path: Path):
    (tmp_path / "settings.toml.new").write_text("se")
    begin(tmp_path)
    (tmp_path / "part.new").write_text("do")
    begin(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["settings.toml"]


HOLDER = """
import sys
from pathlib import Path
from gputhermo.workfolder import claimed
with claimed(Path(sys.argv[1])):
    print("claimed", flush=True)
    sys.stdin.read()
"""


def test_another_process_keeps_it_until_it_is_killed(tmp_path: Path):
    holder = [sys.executable, "-c", HOLDER, str(tmp_path / "work")]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"claimed\n"
        with pytest.raises(InputError, match="out is in use: another process works in"):
            begin(tmp_path / "work")
        process.kill()
    begin(tmp_path / "work")


def test_a_folder_that_its_owner_removed_meanwhile_is_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Between opening the folder and locking it."""
    path, flock = tmp_path / "work", fcntl.flock

    def late(*arguments: int) -> None:
        path.rmdir()
        flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(InputError, match="another process has just removed"), claimed(path):
        pass


def test_the_recipe_is_removed_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Killed at any file, the folder is one that the same work takes up."""
    path = tmp_path / "work"
    begin(path)
    for k in range(9):
        (path / f"{k}").touch()
    unlink = Path.unlink

    def killed(file: Path) -> None:
        if len(list(path.iterdir())) == 4:
            raise KeyboardInterrupt
        unlink(file)

    monkeypatch.setattr(Path, "unlink", killed)
    folder = WorkFolder(path, "seed = 1\n", mismatch="begun otherwise")
    with pytest.raises(KeyboardInterrupt):
        folder.remove()
    folder.close()
    monkeypatch.undo()
    folder = WorkFolder(path, "seed = 1\n", mismatch="begun otherwise")
    folder.remove()
    folder.close()
    assert not path.exists()


def test_places_where_no_folder_can_be(tmp_path: Path):
    (tmp_path / "file").touch()
    for path, message in ((tmp_path / "a" / "b", "there is no folder"), (tmp_path / "file", "is a file; a folder is")):
        with pytest.raises(InputError, match=message):
            make_folder(path)
        with pytest.raises(InputError, match=message), claimed(path):
            pass
