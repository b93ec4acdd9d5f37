"""The Dagster UI in a browser: what a user clicks, and what is then to be seen. Screenshots go to ``screenshots``."""

import itertools
import os
import re
import shutil
import threading
import zlib
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import dagster as dg
import psutil
import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from fruits_assets.instance.in_flight import what_is_under_way
from fruits_assets.instance.partitions import IMAGE_FOLDERS
from fruits_assets.instance.tags import PIPELINE_TAG
from spark_steps.pca import model_store
from spark_steps.store.summaries import summarise
from tests.support.project import PROJECT
from tests.support.ways_in import ALL_ASSETS, Place, Ui

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)
ODD = "with, comma & [brackets]"
FOLDERS = ["Banana", "Blueberry", "Lemon", "Orange", ODD]
# No neighbours in the order of registration.
SCATTERED = ["Lemon", ODD]
SCREENSHOTS = PROJECT / "screenshots"
# A slow machine has time to paint, and to run Spark; a fast one does not wait.
PAINTED_MS, RUN_MS = 60_000, 400_000


@pytest.fixture(scope="module")
def chromium() -> str:
    """The path of Chromium. Without it the tests are skipped, or fail where BROWSER_TESTS=required."""
    found = shutil.which("chromium")
    if found is None:
        say = pytest.fail if os.environ.get("BROWSER_TESTS") == "required" else pytest.skip
        say("There is no Chromium to open the Dagster UI in. Install it: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def ui(chromium: str, tmp_path_factory: pytest.TempPathFactory, network_file: Path) -> Iterator[Ui]:
    """Webserver and daemon with five registered folders of photos, one of them broken, and nothing materialized.

    Sixty more folders are not registered.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")
        place = Place(tmp_path_factory.mktemp("browser"), network_file)
        place.use({})
        fruits = sorted(place.images.iterdir())
        for folder in [ODD, *(f"Fruit {number:02d}" for number in range(60))]:
            shutil.copytree(fruits[zlib.crc32(folder.encode()) % len(fruits)], place.images / folder)
        photo = place.images / "Lemon" / "000.jpg"
        photo.write_bytes(photo.read_bytes()[:900])
        with place.instance() as instance:
            instance.add_dynamic_partitions(IMAGE_FOLDERS, FOLDERS)
        started = Ui(place)
        try:
            started.wait_for(lambda: started.query("{ version }"))
            yield started
        finally:
            started.stop()


@pytest.fixture(scope="module")
def page(ui: Ui, chromium: str) -> Iterator[Page]:
    """The one tab of the browser."""
    SCREENSHOTS.mkdir(exist_ok=True)
    expect.set_options(timeout=PAINTED_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS.split())
        context = browser.new_context(viewport={"width": 1920, "height": 1080}, base_url=f"http://127.0.0.1:{ui.port}")
        context.set_default_timeout(PAINTED_MS)
        yield context.new_page()
        browser.close()


def screenshot(page: Page, name: str) -> None:
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def materialize(page: Page, button: str, folders: list[str], launch: str) -> None:
    """Presses a button that materializes, chooses folders in its dialog, and launches."""
    page.get_by_role("button", name=button).first.click()
    # The list of partitions is a dialog too, within this one, and stays for a moment after it has closed.
    dialog = page.locator("[role=dialog][aria-modal=true]")
    dialog.get_by_text("Select a partition").click()
    for folder in folders:
        page.get_by_role("menuitem").filter(has=page.get_by_text(folder, exact=True)).first.click()
    page.keyboard.press("Escape")
    # Before the answer nothing is launched: leaving the page would take the request back.
    with page.expect_response(lambda answer: "mutation Launch" in (answer.request.post_data or "")):
        dialog.get_by_role("button", name=launch).click()
    expect(dialog).to_be_hidden()


def open_partition(page: Page, asset: str, folder: str) -> None:
    page.goto(f"/assets/{asset}?view=partitions&partition={folder}")
    expect(page.get_by_text("Latest materialization")).to_be_visible()


def value_of(page: Page, entry: str) -> Locator:
    """The row of a table of metadata."""
    return page.locator("tr").filter(has=page.get_by_text(entry, exact=True)).first


@pytest.fixture(scope="module")
def backfilled(page: Page, ui: Ui) -> Page:
    """The page, after two folders have gone through the whole graph, started with the buttons of the UI."""
    page.goto("/asset-groups")
    materialize(page, "Materialize all", SCATTERED, "Launch backfill")
    page.goto("/assets/reduced_features?view=partitions")
    expect(page.get_by_text("Materialized (2)")).to_be_visible(timeout=RUN_MS)
    with ui.place.instance() as instance:
        # The backfill too: its last run, of store_report, comes after the others have ended.
        ui.wait_for(lambda: what_is_under_way(instance) is None)
    return page


@pytest.fixture(scope="module")
def thirty_more(backfilled: Page) -> Page:
    """The page, after whole_pipeline was launched for every second one of sixty new folders."""
    backfilled.goto("/jobs")
    backfilled.get_by_role("link", name="whole_pipeline").first.click()
    backfilled.get_by_role("tab", name="Launchpad").click()
    expect(backfilled.get_by_text("run_all_stages").first).to_be_visible()
    backfilled.locator(".CodeMirror").click()
    backfilled.keyboard.press("Control+A")
    backfilled.keyboard.insert_text('ops: {run_all_stages: {config: {folders: ["Fruit ?[13579]"]}}}')
    screenshot(backfilled, "ui-whole-pipeline")
    backfilled.get_by_role("button", name="Launch Run").click()
    expect(backfilled.get_by_text("RUN_SUCCESS")).to_be_visible(timeout=RUN_MS)
    return backfilled


def models_of_the_store(ui: Ui) -> dict[str, frozenset[str]]:
    return {folder: one.models for folder, one in summarise(ui.place.store.reduced_features).items()}


def fits(ui: Ui) -> int:
    with ui.place.instance() as instance:
        return len(instance.fetch_materializations(dg.AssetKey("pca_model"), limit=100).records)


def test_the_graph_shows_all_assets_with_their_kinds(page: Page) -> None:
    page.goto("/asset-groups")
    for name in ALL_ASSETS:
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    for kind in ("TensorFlow", "Spark", "Delta Lake", "NumPy"):
        expect(page.get_by_text(kind, exact=True).first).to_be_visible()


INTRUDER = """mutation { addDynamicPartition(partitionsDefName: "image_folders", partitionKey: "%s", repositorySelector:
  {repositoryName: "__repository__", repositoryLocationName: "fruits_assets.definitions"}) { __typename } }"""
PAGE_OF_ANOTHER_SITE = """<form method="post" enctype="text/plain" action="%s"><input name="a" value="b"></form><script>
  fetch("%s", {method: "POST", mode: "no-cors"}).finally(() => document.forms[0].submit())</script>"""


class OtherSite(SimpleHTTPRequestHandler):
    """A page that has the browser of whoever opens it send commands to the UI."""

    commands = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write((PAGE_OF_ANOTHER_SITE % (self.commands, self.commands)).encode())


def test_a_page_of_another_site_starts_nothing_in_the_ui(page: Page, ui: Ui) -> None:
    commands = f"http://127.0.0.1:{ui.port}/graphql?" + urlencode({"query": INTRUDER % "intruder"})
    site = ThreadingHTTPServer(("127.0.0.1", 0), type("_", (OtherSite,), {"commands": commands}))
    threading.Thread(target=site.serve_forever, daemon=True).start()
    other = page.context.new_page()
    with other.expect_response(
        lambda answer: answer.request.is_navigation_request() and "/graphql" in answer.url
    ) as sent:
        other.goto(f"http://localhost:{site.server_port}/")
    assert sent.value.status == 403
    assert "does not come from the pages of this server" in sent.value.text()
    other.close()
    site.shutdown()
    # The same command of a program: it would have worked.
    ui.query(INTRUDER % "a friend")
    with dg.DagsterInstance.get() as instance:
        registered = list(instance.get_dynamic_partitions(IMAGE_FOLDERS))
        instance.delete_dynamic_partition(IMAGE_FOLDERS, "a friend")
    assert registered == [*FOLDERS, "a friend"]


def test_the_processes_of_the_ui_listen_to_this_machine_alone(ui: Ui) -> None:
    processes = psutil.Process(ui.process.pid).children(recursive=True)
    found = [one.laddr for process in processes for one in process.net_connections("inet") if one.status == "LISTEN"]
    assert ("127.0.0.1", ui.port) in found
    assert {address.ip for address in found} == {"127.0.0.1"}
    # Not Dagster's own daemon, which would look at a backfill every half a minute.
    assert [one for one in processes if {"fruits_assets.instance.ui_server", "daemon"} <= set(one.cmdline())]


def test_the_jobs_say_what_they_are_for(page: Page) -> None:
    page.goto("/jobs")
    for name in ("whole_pipeline", "extract_features", "fit_pca", "reduce_folders", "sync_image_folders"):
        expect(page.get_by_role("link", name=name).first).to_be_visible()
    page.get_by_role("link", name="extract_features").first.click()
    expect(page.get_by_text("run the new ones through the network").first).to_be_visible()


def test_one_folder_is_materialized_with_the_buttons_of_its_asset(page: Page) -> None:
    page.goto("/assets/raw_images")
    expect(page.get_by_text("The photos of each folder").first).to_be_visible()
    expect(page.get_by_text("fruits-data")).to_be_visible()
    materialize(page, "Materialize", ["Orange"], "Launch 1 run")
    page.goto("/assets/raw_images?view=partitions&partition=Orange")
    expect(page.get_by_text("Materialized (1)")).to_be_visible(timeout=RUN_MS)
    expect(page.get_by_text("Missing (4)")).to_be_visible()
    open_partition(page, "raw_images", "Orange")
    expect(value_of(page, "photos")).to_contain_text("3")


@pytest.mark.timeout(600)
def test_two_folders_that_are_no_neighbours_are_backfilled_one_run_at_a_time_with_one_pca_after_them(
    backfilled: Page, ui: Ui
) -> None:
    with ui.place.instance() as instance:
        records = sorted(instance.get_run_records(), key=lambda one: one.start_time or 0)
    assert {one.dagster_run.status for one in records} == {dg.DagsterRunStatus.SUCCESS}
    assert all(before.end_time <= after.start_time for before, after in itertools.pairwise(records))  # type: ignore[operator]
    assert fits(ui) == 1
    model = model_store.current_version(ui.place.store.pca_models)
    assert models_of_the_store(ui) == dict.fromkeys(SCATTERED, frozenset([model]))


def test_two_folders_go_through_the_graph_and_their_runs_succeed(backfilled: Page) -> None:
    backfilled.goto("/asset-groups")
    expect(backfilled.get_by_text("3 / 4 Passed")).to_be_visible()
    # Those without folders: the network, the PCA model, and the two reports.
    expect(backfilled.get_by_text("Materialized", exact=True)).to_have_count(4)
    screenshot(backfilled, "ui-graph")
    backfilled.goto("/runs")
    expect(backfilled.get_by_text("Failure", exact=True)).to_have_count(0)


def test_a_folder_tells_its_photos_and_why_one_is_rejected(backfilled: Page) -> None:
    open_partition(backfilled, "mobilenet_features", "Lemon")
    expect(value_of(backfilled, "photos")).to_contain_text("3")
    expect(value_of(backfilled, "rejected")).to_contain_text("1")
    expect(value_of(backfilled, "run_cost_eur")).to_contain_text("0")
    expect(backfilled.get_by_text(re.compile("^truncated: "))).to_be_visible()
    screenshot(backfilled, "ui-folder")


@pytest.mark.parametrize(
    ("entry", "alternative_text"),
    [("variance_curve", "variance kept against components"), ("photo_map", "photos by label")],
)
def test_the_pca_model_shows_its_pictures(backfilled: Page, entry: str, alternative_text: str) -> None:
    backfilled.goto("/assets/pca_model")
    value_of(backfilled, entry).get_by_text("Show Markdown").click()
    is_drawn(backfilled.get_by_role("img", name=alternative_text))
    screenshot(backfilled, f"ui-{entry.replace('_', '-')}")


def test_a_failed_check_says_what_is_wrong_and_what_to_do_and_shows_the_reasons(backfilled: Page) -> None:
    backfilled.goto("/assets/mobilenet_features?view=checks&checkDetail=almost_every_photo_is_usable")
    expect(backfilled.get_by_text("1 of 6 photos are rejected (16.7%; a warning comes above 1%)").first).to_be_visible()
    expect(backfilled.get_by_text("Replace or delete those files").first).to_be_visible()
    expect(backfilled.get_by_text(re.compile("^truncated: "))).to_be_visible()
    screenshot(backfilled, "ui-check")
    backfilled.get_by_text("Show Markdown").first.click()
    is_drawn(backfilled.get_by_role("img", name="rejected photos by reason"))
    screenshot(backfilled, "ui-rejected")


def test_numbers_of_materializations_plot_over_time(backfilled: Page) -> None:
    backfilled.goto("/assets/pca_model")
    backfilled.get_by_role("button", name="Plots").click()
    expect(backfilled.get_by_text("variance_kept", exact=True)).to_be_visible()
    screenshot(backfilled, "ui-plots")


def test_thirty_folders_that_are_no_neighbours_are_one_run_with_one_pca_and_all_folders_are_projected(
    thirty_more: Page, ui: Ui
) -> None:
    with ui.place.instance() as instance:
        started = [run.job_name for run in instance.get_runs(limit=4)]
        pipeline = instance.get_runs(dg.RunsFilter(job_name="whole_pipeline"))
        by_it = instance.get_runs(dg.RunsFilter(tags={PIPELINE_TAG: pipeline[0].run_id}))
    assert started == ["reduce_folders", "fit_pca", "extract_features", "whole_pipeline"]
    assert len(by_it) == 3
    assert fits(ui) == 2
    model = model_store.current_version(ui.place.store.pca_models)
    odd = [f"Fruit {number:02d}" for number in range(1, 60, 2)]
    assert models_of_the_store(ui) == dict.fromkeys([*SCATTERED, *odd], frozenset([model]))
    thirty_more.goto("/assets/mobilenet_features?view=partitions")
    expect(thirty_more.get_by_text("Materialized (32)")).to_be_visible()
    screenshot(thirty_more, "ui-thirty-folders")


FAILING = """mutation { launchRun(executionParams: {selector: {repositoryName: "__repository__",
  repositoryLocationName: "fruits_assets.definitions", jobName: "extract_features",
  assetSelection: [{path: ["mobilenet_model"]}]},
  runConfigData: {ops: {mobilenet_model: {config: {weights: "/nowhere.h5"}}}}}) {
    ... on LaunchRunSuccess { run { id } } } }"""


def test_a_failed_run_shows_its_sentence_first_and_its_stack_trace_after_it(thirty_more: Page, ui: Ui) -> None:
    run = ui.query(FAILING)["launchRun"]["run"]["id"]
    thirty_more.goto(f"/runs/{run}")
    told = thirty_more.get_by_text("Failure: There is no weights file /nowhere.h5").first
    expect(told).to_be_visible(timeout=RUN_MS)
    shown = thirty_more.locator("body").inner_text()
    assert shown.index("There is no weights file") < shown.index("Stack Trace")
    assert "Error occurred while executing op" not in shown
    screenshot(thirty_more, "ui-failure")


def test_home_and_the_jobs_pages_show_the_runs_that_another_process_started(thirty_more: Page) -> None:
    thirty_more.goto("/")
    # Those of the stages run in the process of whole_pipeline, as those of fruits run do in its own.
    for job in ("extract_features", "fit_pca", "reduce_folders"):
        expect(thirty_more.get_by_role("link", name=job).first).to_be_visible()
    screenshot(thirty_more, "ui-home")
    thirty_more.goto("/locations/fruits_assets.definitions/jobs/fit_pca/runs")
    expect(thirty_more.get_by_text("Success", exact=True).first).to_be_visible()


def test_the_store_as_a_whole_is_to_be_seen_without_a_click(thirty_more: Page, ui: Ui) -> None:
    thirty_more.goto("/assets/store_report")
    rejected = thirty_more.get_by_role("row", name="Rejected 1 truncated")
    expect(rejected.first).to_be_visible()
    is_drawn(thirty_more.get_by_role("img", name="of the variance"), at_least=300)
    screenshot(thirty_more, "ui-store")


def is_drawn(picture: Locator, at_least: int = 301) -> None:
    """Waits for a picture whose bytes the browser has understood."""
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") >= at_least
