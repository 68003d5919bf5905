"""Plans on the hub: what is uploaded is what `save` writes, and without a network the error says what to do."""

from pathlib import Path

import pytest

from mechviz.errors import MechvizError
from mechviz.interventions import DAS, Intervention, Plan
from tests.interventions.hand import PAIRS

HOOK = "blocks.1.hook_resid_post"


def test_what_is_pushed_is_what_is_pulled(cat, monkeypatch, tmp_path):
    import huggingface_hub

    class Hub:
        def create_repo(self, repo_id, private, exist_ok):
            assert (repo_id, private, exist_ok) == ("me/plan", True, True)

        def upload_folder(self, repo_id, folder_path, commit_message):
            for file in Path(folder_path).iterdir():
                (tmp_path / file.name).write_bytes(file.read_bytes())
            return "the address"

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo_id, revision, allow_patterns: str(tmp_path))
    plan = Plan(Intervention(HOOK, positions="cls", subspace=DAS(2)))
    wanted = plan.run(cat, PAIRS).patched.values
    assert plan.push_to_hub("me/plan", private=True) == "the address"
    assert (Plan.from_hub("me/plan").run(cat, PAIRS).patched.values == wanted).all()


def test_without_a_network_the_error_says_what_to_do(cat, monkeypatch):
    import huggingface_hub

    def fails(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    with pytest.raises(MechvizError, match=r"read from 'me/plan' .*no route.* Plan\.load\(folder\)"):
        Plan.from_hub("me/plan")
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", fails)
    with pytest.raises(MechvizError, match="pushed to 'me/plan'"):
        Plan(Intervention(HOOK)).push_to_hub("me/plan")
