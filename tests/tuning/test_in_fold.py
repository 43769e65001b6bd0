"""What a fold's trial has otherwise than the winner over all folds."""

from erc_kedro.tuning.results import _differing


def test_what_only_the_folds_own_settings_name_is_kept():
    winner = {"scaling": {}, "model": {"hidden": 8, "settings": {}}, "epochs": 3}
    own = {"scaling": {"audio": "none"}, "model": {"hidden": 8, "settings": {"depth": 2}}, "epochs": 3}
    assert _differing(winner, own) == {"scaling": {"audio": "none"}, "model": {"settings": {"depth": 2}}}
    assert _differing(winner, winner) == {}
