"""Hub folders on a remote: an S3 server of this machine, and a stand-in for the hub itself."""

from __future__ import annotations

import sys

import pytest

from shadowbox import cli
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.hub.listing import LIST
from shadowbox.hub.pull import pull
from shadowbox.hub.push import push

fsspec = pytest.importorskip("fsspec")
CARD = """---
card: 1
id: {name}
goal: travels to a bucket and back
game: brawl
world: brawl@time_limit=60
learner: selfplay
preset: small
opponents: [based]
targets: [{{metric: eval/wins.based, op: ">", value: 0.5}}]
---
# Why

{text}
"""


def card(folder, name="travels", text="Nothing."):
    """A card's file; small, so that the tests are about remotes."""
    path = folder / f"{name}.md"
    path.write_text(CARD.format(name=name, text=text))
    return path


@pytest.fixture(scope="module")
def bucket():
    """Bucket of an S3 server, which the usual variables of AWS name."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "made-up")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.delenv("AWS_PROFILE", raising=False)
        files = fsspec.filesystem("s3", skip_instance_cache=True)
        files.mkdir("shelf")
        yield files
    server.stop()


def test_a_card_goes_to_a_bucket_and_back(bucket, tmp_path):
    """On S3 lie the files of the folder alone, and they come back equal, compared one by one."""
    path = card(tmp_path)
    facts = push(str(path), "s3://shelf/cards/travels")
    there = sorted(name.rpartition("/")[2] for name in bucket.find("shelf/cards/travels"))
    assert there == ["README.md", LIST, "travels.md"]
    back = pull("s3://shelf/cards/travels", tmp_path / "back", digest=facts["digest"])
    assert back["digest"] == facts["digest"]
    assert (tmp_path / "back/travels.md").read_bytes() == path.read_bytes()


def test_a_bucket_that_was_tampered_with_is_refused_by_name(bucket, tmp_path):
    """A changed object, an added one and one below a prefix are named, and nothing is kept."""
    push(str(card(tmp_path)), "s3://shelf/tampered")
    text = bucket.cat_file("shelf/tampered/travels.md")
    bucket.pipe_file("shelf/tampered/travels.md", text.replace(b"Nothing", b"Somethi"))
    with pytest.raises(ShadowboxError, match=r"s3://shelf/tampered/travels\.md was changed"):
        pull("s3://shelf/tampered", tmp_path / "back")
    bucket.pipe_file("shelf/tampered/travels.md", text)
    bucket.pipe_file("shelf/tampered/more/run.py", b"print()")
    with pytest.raises(ShadowboxError, match=r"more/run\.py is not in hub\.json"):
        pull("s3://shelf/tampered", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_overwriting_a_bucket_leaves_no_file_of_before(bucket, tmp_path):
    """A second push needs --overwrite, and files of the first that the second lacks are removed."""
    push(str(card(tmp_path, "before")), "s3://shelf/again")
    with pytest.raises(UsageError, match="is there already"):
        push(str(card(tmp_path, "after")), "s3://shelf/again")
    push(str(card(tmp_path, "after")), "s3://shelf/again", overwrite=True)
    assert pull("s3://shelf/again", tmp_path / "back")["name"] == "after"


def test_what_is_not_there_is_said_in_one_line(bucket, tmp_path):
    """An empty prefix, a missing bucket and an unknown protocol end without a traceback."""
    with pytest.raises(ShadowboxError, match="is its name right"):
        pull("s3://shelf/empty", tmp_path / "back")
    with pytest.raises(ShadowboxError, match="s3://no-such-bucket"):
        push(str(card(tmp_path)), "s3://no-such-bucket/x")
    for remote in ("nothing://x/y", "simplecache::s3://shelf/x"):
        with pytest.raises(UsageError, match=remote.partition(":")[0]):
            pull(remote, tmp_path / "back")


def test_the_hub_gets_the_files_and_its_own_are_passed_over(tmp_path, monkeypatch, capsys):
    """A stand-in for fsspec's `hf://` records the calls: every file once, the list last.

    The hub puts a `.gitattributes` into every repository, which is no file of ours.
    """
    from fsspec.implementations.memory import MemoryFileSystem

    calls = []

    class StandIn(MemoryFileSystem):
        protocol = "hf"
        store: dict = {}  # noqa: RUF012
        pseudo_dirs = [""]  # noqa: RUF012

        @classmethod
        def _strip_protocol(cls, path):
            return "/" + path.removeprefix("hf://").strip("/")

        def put_file(self, lpath, rpath, **options):
            calls.append(rpath.rpartition("/")[2])
            return super().put_file(lpath, rpath, **options)

    monkeypatch.setitem(sys.modules["fsspec.registry"]._registry, "hf", StandIn)
    StandIn().pipe_file("hf://ana/travels/.gitattributes", b"*.npy filter=lfs")
    with pytest.raises(SystemExit) as stop:
        cli.main(["push", str(card(tmp_path)), "hf://ana/travels", "--license", "MIT"])
    assert stop.value.code == 0
    assert calls == ["README.md", "travels.md", LIST]
    assert "license mit" in capsys.readouterr().out
    pull("hf://ana/travels", tmp_path / "back")
    head = (tmp_path / "back/README.md").read_text().splitlines()[:3]
    assert head == ["---", "license: mit", "library_name: shadowbox"]
    assert not (tmp_path / "back/.gitattributes").exists()
