"""origin: what a row and a page say of where they come from, and what they must not say."""

import json
import platform
import subprocess

from sglib import files as origin


def test_versions_name_what_a_number_depends_on():
    found = origin.versions()
    assert found["Python"] == platform.python_version()
    assert set(found) == {"Python", *origin.VERSIONS_OF}
    assert "not installed" not in found.values()


def test_commit_is_marked_where_files_differ(tmp_path, monkeypatch):
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    (tmp_path / "file").write_text("one")
    for words in (["init", "-q"], ["add", "file"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    clean = origin.git_commit()
    assert len(clean) == 12
    assert int(clean, 16)
    (tmp_path / "file").write_text("two")
    origin._commit_of.cache_clear()
    assert origin.git_commit() == f"{clean} with local changes"


def test_outside_a_checkout_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    assert origin.git_commit() == "unknown"


def test_facts_name_no_host_and_no_path():
    facts = origin.run_facts()
    assert set(facts) == {"finished", "machine", "versions", "commit"}
    assert platform.node() not in facts["machine"]
    assert json.loads(facts["versions"]) == origin.versions()
    assert not any("/" in value for value in facts.values())
