"""Vectors: the answer and its bill, what carries it out, and who gets worse."""

import json

import numpy as np
import pytest

from compat_core.reports.frames import amount_text
from compat_core.vectors.bill import CostConfig
from compat_core.vectors.jobs import DecisionStore
from compat_core.vectors.lost_queries import lost_queries
from compat_core.vectors.outcome import with_costs
from tests.pages.test_pages import table_with, texts


def test_decisions_are_listed_by_name_and_state_and_unfinished_ones_removed(decided, visit, empty):
    DecisionStore(empty.root).create("broken", [])
    app = visit("vectors", decision=decided.id)
    (box,) = [box for box in app.selectbox if box.label == "Decision"]
    assert any(text.startswith("shop vectors · ") and text.endswith("· done") for text in box.options)
    assert any(text.startswith("broken · ") and text.endswith("· failed") for text in box.options)
    app.button(key="decisions-clean").click().run()
    assert [job.title for job in DecisionStore(empty.root).list()] == ["shop vectors"] and not app.exception


def test_the_answer_stands_first_with_every_option_and_the_closer_look(decided, visit):
    app = visit("vectors", decision=decided.id)
    document = decided.document()
    assert f"Recommended: {document['decision']['recommended']}" in texts(app)
    options = table_with(app, "embed again")["option"].tolist()
    assert options == [*dict.fromkeys(options)] and {row["name"] for row in document["decision"]["rows"]} <= set(
        options
    )
    assert options[-1] == "retrain compatibly (not judged)"
    for column in ("backfill for 95 % of the rest", "recalibrated score", "lost / won %", "p99, ms", "recall@10 %"):
        assert len(table_with(app, column))
    assert not app.error


def test_an_imitation_of_the_new_model_is_not_shown_as_a_success(decided, visit):
    document = decided.document()
    assert visit("vectors", decision=decided.id).success[0].value.startswith("**Recommended")
    document["decision"]["independent"] = False
    for row in document["decision"]["rows"]:
        row["backfilled"] = 1.0 if row["name"] == "full backfill" else 0.0
    (decided.path / "decision.json").write_text(json.dumps(document))
    app = visit("vectors", decision=decided.id)
    assert not app.success and any("own neighbours" in note.value for note in app.info)


def test_the_page_says_how_map_and_ordering_were_chosen(decided, visit):
    assert "was chosen on validation items" in texts(visit("vectors", decision=decided.id))


def test_changed_prices_change_the_bill_and_nothing_else(written):
    decided = written[0]["decision"]
    dear = with_costs(decided, CostConfig(items=10**9, gpu_price=50.0))
    by_name = {row["name"]: row for row in dear["rows"]}
    for row in decided["rows"]:
        assert by_name[row["name"]]["gain"] == row["gain"]
    assert by_name["full backfill"]["bill"]["money"] > 1000
    assert with_costs(decided, CostConfig(**decided["config"]["costs"])) == decided


def test_the_bill_is_for_the_rows_given_until_another_number_is_entered(decided, visit):
    app = visit("vectors", decision=decided.id)
    items = app.number_input(key=f"bill-{decided.id}-items")
    assert items.value == decided.document()["decision"]["num_items"]
    before = table_with(app, "embed again")["GB kept"].tolist()
    items.set_value(10**9).run()
    assert table_with(app, "embed again")["GB kept"].tolist() != before and not app.exception


def test_downloads_agree_with_the_prices_on_the_screen(decided, visit, monkeypatch):
    built = {}
    monkeypatch.setattr(
        "compat_core.ui.decision_parts.st.download_button",
        lambda label, data, **settings: built.update({label: data}),
    )
    app = visit("vectors", decision=decided.id)
    stored = decided.document()["decision"]
    assert json.loads(built["decision.json"]())["next"][0] == "migrate"
    app.number_input(key=f"bill-{decided.id}-gpu_price").set_value(0.0).run()
    (answer,) = app.success
    taken = json.loads(built["decision.json"]())
    assert taken["decision"]["recommended"] == "full backfill" != stored["recommended"]
    assert "Recommended: full backfill." in answer.value
    assert taken["decision"]["config"]["costs"]["gpu_price"] == 0 and taken["next"] == []
    assert table_with(app, "embed again")["money"].iloc[2] == amount_text(taken["decision"]["rows"][2]["bill"]["money"])
    page = built["decision.html"]().decode()
    assert "Recommended: full backfill." in page and stored["recommended"] + "." not in page
    assert "carry it out" not in page


def test_the_command_line_is_for_the_prices_on_the_screen(decided, visit):
    def command(app):
        (found,) = [code.value for code in app.code if "compat_core decide" in code.value]
        return found

    app = visit("vectors", decision=decided.id)
    assert command(app).endswith("decide --old o.npy --new n.npy --out DIR")
    app.number_input(key=f"bill-{decided.id}-items").set_value(10**9).run()
    app.number_input(key=f"bill-{decided.id}-gpu_price").set_value(7.5).run()
    assert command(app).endswith("--items 1000000000 --gpu-price 7.5 --out DIR")


def test_the_rows_in_the_order_of_a_backfill_can_be_taken_along(decided, visit, monkeypatch):
    built = {}
    monkeypatch.setattr(
        "compat_core.ui.decision_parts.st.download_button",
        lambda label, data, **settings: built.update({label: data}),
    )
    visit("vectors", decision=decided.id)
    assert "backfill-order.csv" not in built, "decided before there was one"
    document = decided.document()
    part = next(row["name"] for row in document["decision"]["rows"] if row["name"].endswith("(class-mean order)"))
    listed = {"option": part, "order": "class-mean", "file": "backfill-order.csv", "rows": 500}
    (decided.path / "decision.json").write_text(json.dumps(document | {"backfill_order": listed}))
    (decided.path / "backfill-order.csv").write_text("rank,row,share\n1,7,1.0\n")
    app = visit("vectors", decision=decided.id)
    assert built["backfill-order.csv"]() == b"rank,row,share\n1,7,1.0\n"
    assert any(f"for {part}" in caption.value for caption in app.caption)
    assert "the class of every row in production" in texts(app), "what the orderings of the plan take"
    assert any("compat_core migrate" in code.value for code in app.code)


def test_the_rest_is_shown_when_the_numbers_per_query_were_deleted(decided, visit):
    (decided.path / "per_query.npz").unlink()
    app = visit("vectors", decision=decided.id)
    assert not app.exception
    assert any("is gone, and with it who gets worse" in error.value for error in app.error)
    assert "The same from the command line" in texts(app), "what stands below is shown all the same"


def test_a_link_holds_the_inputs_of_the_bill(decided, visit):
    price = f"bill-{decided.id}-gpu_price"
    app = visit("vectors", **{"decision": decided.id, price: "0.0", f"bill-{decided.id}-items": "1000000"})
    assert app.number_input(key=price).value == 0 and app.number_input(key=f"bill-{decided.id}-items").value == 10**6
    assert "Recommended: full backfill" in texts(app)
    bound = {field.proto.query_param_key for field in app.number_input}
    assert {f"bill-{decided.id}-{name}" for name in CostConfig.__dataclass_fields__} <= bound, (
        "the browser writes these"
    )


def test_a_failed_decision_shows_its_last_words(empty, visit, started):
    job = DecisionStore(empty.root).create("broken", [])
    job.process.log.write_text("compatbench: --old: no such file\n")
    app = visit("vectors", decision=job.id)
    assert any("no such file" in code.value for code in app.code)
    app.button(key="decision-again").click().run()
    assert started == [job] and not app.exception


def test_the_address_names_a_decision_once_somebody_chose_it(decided, empty, visit):
    other = DecisionStore(empty.root).create("broken", [])
    app = visit("vectors")
    assert "decision" not in app.query_params, "Back leaves the page in one press"
    (choice,) = [box for box in app.selectbox if box.label == "Decision"]
    app = choice.set_value(decided.id if choice.value == other.id else other.id).run()
    assert app.query_params["decision"] == choice.value


def test_a_decision_is_renamed(decided, visit):
    app = visit("vectors", decision=decided.id)
    (field,) = [text for text in app.text_input if text.label == "Title"]
    field.set_value("shop, spring")
    (button,) = [one for one in app.button if one.label == "Rename it"]
    app = button.click().run()
    assert not app.exception and decided.title == "shop, spring"


def test_who_gets_worse_is_told_for_every_option(decided, visit):
    app = visit("vectors", decision=decided.id)
    (choice,) = [box for box in app.selectbox if box.label == "Option"]
    shown = table_with(app, "lost / won %")
    other = next(name for name in choice.options if name != choice.value)
    app = choice.set_value(other).run()
    assert not app.exception and not table_with(app, "lost / won %").equals(shown)


def test_lost_queries_are_those_that_were_right(written):
    arrays = written[1]
    option = arrays["options"].tolist()[-1]
    lost = lost_queries(arrays, option)
    base, now = arrays["options"].tolist().index("status quo"), len(arrays["options"]) - 1
    assert len(lost) == int(((arrays["top_1"][base] == 1) & (arrays["top_1"][now] == 0)).sum())
    assert (lost["ap_now"] - lost["ap_before"]).is_monotonic_increasing


@pytest.fixture
def migrating(monkeypatch):
    words = []
    monkeypatch.setattr(
        "compat_core.experiments.background.BackgroundProcess.start", lambda self, arguments: words.extend(arguments)
    )
    return words


def adapter_choice(app):
    (found,) = [box for box in app.selectbox if box.label.endswith("dapter, old → new")]
    return found


def test_migration_is_started_with_the_best_adapter_and_its_file_offered(decided, visit, migrating):
    app = visit("vectors", decision=decided.id)
    best = decided.document()["studies"]["plan_map"]
    assert adapter_choice(app).value == best and "points over the status quo" in adapter_choice(app).options[0]
    app.button(key="migrate-start").click().run()
    assert not app.exception
    adapter = best.removesuffix(" old→new")
    out = decided.path / f"migrated-{adapter}.npy"
    assert migrating[0] == "migrate" and migrating[migrating.index("--vectors") + 1] == "o.npy"
    assert migrating[migrating.index("--adapter") + 1] == adapter
    assert migrating[migrating.index("--out") + 1] == str(out)
    np.save(out, np.zeros((2, 2), dtype=np.float32))
    out.with_name(f"{out.name}.manifest.json").write_text("{}")
    app = visit("vectors", decision=decided.id)
    assert any(f"Migrated with {best}" in message.value for message in app.success) and not app.exception
    again = adapter_choice(app)
    assert again.label.startswith("Another") and len(again.options) == 2


def test_an_adapter_below_the_status_quo_is_warned_of(decided, visit, migrating):
    document = decided.document()
    for row in document["decision"]["rows"]:
        if row["name"] == "mean-shift old→new":
            row["gain"]["mAP"]["value"] = -0.4
    (decided.path / "decision.json").write_text(json.dumps(document))
    app = visit("vectors", decision=decided.id)
    assert not any("below the status quo" in warning.value for warning in app.warning)
    adapter_choice(app).set_value("mean-shift old→new").run()
    assert any("below the status quo" in warning.value for warning in app.warning)
