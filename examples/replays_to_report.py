"""Melee replays to reports: read .slp files into a store, audit it, train a small policy, evaluate it.

python examples/replays_to_report.py FOLDER [OUT]        FOLDER: .slp files, folders, zip archives

Writes OUT/audit.html (the recordings) and OUT/report.html (the policy beside its baselines).
"""

import sys
from pathlib import Path

import shadowbox as sb
from shadowbox.data.audit import audit
from shadowbox.data.ingest import ingest
from shadowbox.data.split import Split
from shadowbox.report.audit import audit_page
from shadowbox.report.evaluation import evaluation_page


def main(folder: Path, out: Path, steps: int = 300) -> None:
    found = ingest(sb.load_game("melee"), [folder], out / "store")
    print(f"{found['accepted']} of {found['files']} recordings read, {found['frames']:,} frames")
    for rejected in found["rejected"][:5]:
        print(f"rejected: {rejected['file']}: {rejected['reason']}")

    store = sb.Store(out / "store")
    (out / "audit.html").write_text(audit_page(audit(store, Split())), encoding="utf-8")

    sb.train(store, out=out / "run", preset="tiny", steps=steps, batch=8, settings={"length": 32})
    result = sb.evaluate(out / "run", store)
    (out / "report.html").write_text(evaluation_page(result), encoding="utf-8")
    print(f"reports: {out / 'audit.html'}, {out / 'report.html'}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "runs/replays"))
