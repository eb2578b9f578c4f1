"""Launch: bad files and bad words end in a box, what was typed stays, and the forecast says what it rests on."""

import copy
import json

import pytest

from compat_core.experiments import estimate
from compat_core.experiments.presets import PRESETS, configure
from compat_core.methods import METHODS
from compat_core.ui.forms import config_fields, label_of


def edited(**changes):
    values = copy.deepcopy(configure("demo").to_dict())
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = values
        for parent in parents:
            place = place[parent]
        place[last] = value
    return json.dumps(values).encode()


BAD_FILES = {
    "data set": (edited(data__dataset="digitz"), "digits"),
    "backbone": (edited(old__arch="resnet1"), "resnet1"),
    "loss": (edited(new__loss__name="arc"), "arcface"),
    "loss parameter": (edited(new__loss__params={"scael": 1}), "scale"),
    "method": (edited(methods=[{"name": "fctt", "params": {}, "alias": ""}]), "fct"),
    "method parameter": (edited(methods=[{"name": "fct", "params": {"widht": 8}, "alias": ""}]), "width"),
    "out of range": (edited(methods=[{"name": "fct", "params": {"width": -3}, "alias": ""}]), "from 8"),
    "not an object": (b"[1, 2]", "object"),
    "not text": (b"\xff\xfe", "JSON"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_configuration_file_is_refused_in_a_box(name, empty, visit):
    content, hint = BAD_FILES[name]
    app = visit("launch", preset="demo")
    app.number_input(key="demo-old-train-epochs").set_value(3).run()
    app.file_uploader(key="config-file").upload("config.json", content, "application/json").run()
    assert not app.exception, app.exception
    assert any("configuration file" in error.value and hint in error.value for error in app.error)
    assert app.number_input(key="demo-old-train-epochs").value == 3, "nothing typed is lost"


def away_and_back(app):
    app.query_params.clear()  # the links of the sidebar name no preset
    app.switch_page("pages/methods.py").run()
    app.switch_page("pages/launch.py").run()
    assert not app.exception, app.exception


def reset_button(app):
    return next((button for button in app.button if button.key == "launch-reset"), None)


def test_what_was_typed_is_there_after_a_look_at_another_page(empty, visit):
    app = visit("launch", preset="demo")
    app.text_input(key="demo-seeds").set_value("3 x").run()
    app.text_input(key="demo-title").set_value("mine").run()
    app.selectbox(key="demo-dataset").set_value("folder").run()
    app.text_input(key="demo-folder").set_value("/photos").run()
    app.number_input(key="demo-resamples").set_value(5).run()
    app.multiselect(key="demo-methods").set_value(["bct"]).run()
    away_and_back(app)
    assert app.text_input(key="demo-seeds").value == "3 x" and app.text_input(key="demo-title").value == "mine"
    assert app.text_input(key="demo-folder").value == "/photos" and app.number_input(key="demo-resamples").value == 5
    assert app.multiselect(key="demo-methods").value == ["bct"]
    away_and_back(app)
    assert app.text_input(key="demo-title").value == "mine", "the second time as the first"


def test_another_preset_shows_its_own_values(empty, visit):
    app = visit("launch", preset="demo")
    app.text_input(key="demo-title").set_value("mine").run()
    app.selectbox(key="preset-choice").set_value("half-classes").run()
    assert app.text_input(key="half-classes-title").value != "mine" and reset_button(app) is None


def test_a_changed_form_goes_back_to_the_preset_at_one_press(empty, visit):
    app = visit("launch", preset="demo")
    first = app.text_input(key="demo-seeds").value
    assert reset_button(app) is None
    app.text_input(key="demo-seeds").set_value("3 4").run()
    reset_button(app).click().run()
    for again in (lambda app: None, away_and_back):
        again(app)
        assert next(field for field in app.text_input if field.label == "Seeds").value == first
        assert reset_button(app) is None


@pytest.mark.parametrize("preset", PRESETS.names())
def test_an_untouched_form_has_nothing_to_reset(preset, empty, visit):
    assert reset_button(visit("launch", preset=preset)) is None


@pytest.mark.parametrize("text", ["one", "-1", "1e3", "²", "", "0 0", "9" * 19, "9" * 5000])
def test_bad_seeds_are_one_error_and_stay_as_typed(text, empty, visit):
    app = visit("launch", preset="demo")
    app.text_input(key="demo-seeds").set_value(text).run()
    assert not app.exception, app.exception
    assert len(app.error) == 1 and "seeds" in app.error[0].value
    assert app.text_input(key="demo-seeds").value == text


def test_a_method_that_cannot_bridge_the_dimensions_is_named_before_the_start(empty, visit):
    app = visit("launch", preset="demo")
    app.number_input(key="demo-old-dim").set_value(24).run()
    assert not app.exception
    assert any("equal dimensions" in error.value for error in app.error)
    assert app.number_input(key="demo-old-dim").value == 24
    needy = [name for name in METHODS.names() if "equal dimensions" in METHODS.get(name).needs]
    kept = [label for label in app.multiselect(key="demo-methods").value if label not in needy]
    app.multiselect(key="demo-methods").set_value(kept).run()
    assert not app.error


def test_one_run_per_seed(empty, visit):
    app = visit("launch", preset="demo")
    app.text_input(key="demo-seeds").set_value("4, 5").run()
    app.button(key="launch-split").click().run()
    assert not app.exception
    assert sorted(run.config.seeds for run in empty.list()) == [(4,), (5,)]


def test_a_past_run_forecasts_only_its_own_kind_of_device(copied):
    (run,) = copied.list()
    rate, source = estimate.past_throughput(copied, run.config.replace(device="cpu"))
    assert rate > 0 and source == run.id
    run.write_status(run.status.replace(device="cuda:0"))
    assert estimate.past_throughput(copied, run.config.replace(device="cpu")) is None, "it ran on a GPU"


def test_more_memory_than_there_is_gets_a_warning(empty, visit, monkeypatch):
    app = visit("launch", preset="demo")
    assert not app.warning
    monkeypatch.setattr(estimate, "memory_of", lambda device: 100_000_000)
    app.run()
    assert [True for shown in app.warning if "more memory than the 0.1 GB" in shown.value] == [True]


def test_a_number_out_of_range_is_an_error_beside_start_and_stays(empty, visit):
    app = visit("launch", preset="demo")
    app.number_input(key="demo-resamples").set_value(5).run()
    assert not app.exception
    assert len(app.error) == 1 and "resamples" in app.error[0].value
    assert app.number_input(key="demo-resamples").value == 5
    assert app.button(key="launch-start-blocked").disabled


def test_a_folder_not_yet_typed_is_no_error(empty, visit):
    app = visit("launch", preset="demo")
    app.selectbox(key="demo-dataset").set_value("folder").run()
    assert not app.exception and not app.error
    assert app.button(key="launch-start").disabled


@pytest.mark.parametrize(
    ("name", "unit", "label"),
    [("epochs", "epochs", "epochs"), ("n_neighbors", "neighbours", "n neighbors"), ("gpus", "GPUs", "GPUs"),
     ("items_per_s", "items/s", "items per s"), ("gpu_price", "money per hour", "GPU price (money per hour)"),
     ("width", "", "width")],
)  # fmt: skip
def test_labels_say_the_unit_once(name, unit, label):
    assert label_of(name, unit) == label


def test_help_states_the_range_and_labels_do_not_repeat_the_unit(monkeypatch):
    seen = {}

    def record(label, *args, **settings):
        seen[label] = settings["help"]
        return None

    for widget in ("number_input", "checkbox", "selectbox", "text_input"):
        monkeypatch.setattr(f"compat_core.ui.forms.st.{widget}", record)
    config_fields(configure("demo"), "x")
    config_fields(configure("demo").old.train, "y")
    assert "From 100 to 1e+06" in seen["resamples"]
    assert "epochs" in seen and "epochs (epochs)" not in seen


def test_a_variant_is_typed_as_on_the_command_line(empty, visit):
    app = visit("launch", preset="demo")
    chosen = app.multiselect(key="demo-methods")
    chosen.set_value(["fct", "fct:side=none,as=plain", "bct-sys:weight=2"]).run()
    assert not app.error and not app.exception
    (command,) = [code.value for code in app.code if "compat_core run" in code.value]
    assert "fct:side=none,as=plain" in command and "bct-sys:weight=2" in command
    app.multiselect(key="demo-methods").set_value(["fct", "fctt:side=none"]).run()
    assert "did you mean 'fct'" in app.error[0].value
    assert not [button for button in app.button if button.label == "Start" and not button.disabled]
    app.multiselect(key="demo-methods").set_value(["fct", "fct:sied=none"]).run()
    assert "sied" in app.error[0].value
