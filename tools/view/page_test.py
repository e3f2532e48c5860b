"""Opens the page of a run that fails, in headless Chromium, and uses it as a person does.

What would break: whoever has a failing seed sees an empty page, does not find the failure, or does not get from a CQE to
its SQE. Times out generously: a busy machine may take long for anything.
"""

import os
import sys
import tempfile
import unittest

from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

TIMEOUT_SECONDS = 120
PAGE = ""


def start_browser(profile):
    options = Options()
    # Chromium's own sandbox does not work for root; the page is ours.
    for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
                     "--window-size=1400,900", "--user-data-dir=" + profile]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    browser.set_page_load_timeout(TIMEOUT_SECONDS)
    return browser


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        cls.browser = start_browser(cls.profile.name)

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.profile.cleanup()

    def setUp(self):
        self.browser.get("about:blank")  # So that what follows is not only a change of the fragment.
        self.browser.get("file://" + PAGE)
        self.wait(lambda: self.run_script("return window.orrery !== undefined"))

    def tearDown(self):
        self.assertEqual([line for line in self.browser.get_log("browser") if line["level"] == "SEVERE"], [])

    # --- The person.

    def wait(self, condition):
        WebDriverWait(self.browser, TIMEOUT_SECONDS).until(lambda _: condition())

    def run_script(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def press(self, *keys):
        ActionChains(self.browser).send_keys(*keys).perform()

    def selected(self):
        """The number of the selected event."""
        return int(self.find("body").get_attribute("data-event"))

    def heading(self):
        return self.find("#panel h2").text

    def point_at(self, index):
        """Moves the pointer to where the timeline draws an event."""
        x, y = self.run_script("return orrery.timeline.position(arguments[0])", index)
        canvas = self.find("#timeline")
        left = round(x) - canvas.size["width"] // 2
        top = round(y) - canvas.size["height"] // 2
        ActionChains(self.browser).move_to_element_with_offset(canvas, left, top).perform()

    def first_completion(self):
        """The index of a CQE of a connection that has an SQE some events before."""
        return self.run_script("""
            const { run } = orrery;
            return run.requests.find((request) => request.connection !== null && request.completed.length > 0 &&
                                                  request.completed[0] > request.submitted + 1).completed[0]""")

    def number(self, index):
        return self.run_script("return orrery.run.numbers[arguments[0]]", index)

    # --- What is expected.

    def test_it_opens_at_the_failure(self):
        self.assertIn("reply-mismatch at 4.5", self.browser.title)
        self.assertIn("reply-mismatch", self.find("h1").text)
        self.assertIn("the moon is made of cheese", self.find("#seen").text)
        self.assertIn("bazel run //tools:replay -- --plan=", self.find("#replay").text)
        self.assertIn("violated: reply-mismatch", self.find("#panel").text)
        failing = self.run_script("return orrery.run.numbers[orrery.run.failure.event]")
        self.assertEqual(self.selected(), failing)
        self.wait(lambda: self.find(".row.failure.selected").is_displayed())
        self.assertIn("invalid bulk length", self.find(".row.failure").text)

    def test_it_needs_nothing_else(self):
        self.assertEqual(self.run_script("return performance.getEntriesByType('resource').length"), 0)
        with open(PAGE, encoding="utf-8") as file:
            text = file.read()
        for part in [" src=", " href=", "url(", "@import", "http://", "https://"]:
            self.assertNotIn(part, text)

    def test_from_a_cqe_to_its_sqe(self):
        completion = self.first_completion()
        self.run_script("orrery.timeline.reveal(arguments[0]); orrery.draw()", completion)
        self.point_at(completion)
        ActionChains(self.browser).click().perform()
        self.wait(lambda: self.selected() == self.number(completion))
        self.assertTrue(self.heading().startswith("complete "), self.heading())
        link = self.find("#panel button.to-sqe")
        submission = int(link.get_attribute("data-event"))
        link.click()
        self.wait(lambda: self.selected() == self.number(submission))
        self.assertLess(submission, completion)
        self.assertTrue(self.heading().startswith("submit "), self.heading())
        self.assertIn("opcode", self.find("#panel").text)
        self.wait(lambda: self.find(f"#event-{submission}").get_attribute("aria-selected") == "true")
        self.press("j")
        self.wait(lambda: self.selected() == self.number(completion))

    def test_bytes_on_hover(self):
        index = self.run_script("""
            return Object.keys(orrery.run.bytes).map(Number).find((index) => orrery.run.bytes[index][1].includes("PING"))""")
        self.run_script("orrery.select(arguments[0])", index)
        self.assertTrue(self.find("#tip").get_property("hidden"))
        self.point_at(index)
        self.wait(lambda: not self.find("#tip").get_property("hidden"))
        self.assertIn("PING\\r\\n", self.find("#tip").text)
        self.assertIn("50 49 4e 47", self.find("#panel pre").text)

    def test_search(self):
        self.press("/")
        self.press("fault send.partial")
        self.wait(lambda: self.find("#hits").text.endswith(" found"))
        found = int(self.find("#hits").text.split()[0])
        self.assertGreater(found, 0)
        self.press(Keys.ENTER)
        self.wait(lambda: self.find("#hits").text == f"1 of {found}")
        self.assertIn("Fault injected here".upper(), self.find("#panel").text.upper())
        self.assertIn("send.partial", self.heading())
        self.press(Keys.ESCAPE)
        self.wait(lambda: self.find("#hits").text == "")
        self.press("/", "nothing like this")
        self.wait(lambda: self.find("#hits").text == "0 found")

    def test_keys(self):
        scale = "return orrery.timeline.scale"
        before = self.run_script(scale)
        self.press("+")
        self.assertGreater(self.run_script(scale), before)
        self.press("0")
        self.assertLess(self.run_script(scale), before)
        at = self.selected()
        self.press(Keys.ARROW_LEFT)
        self.assertEqual(self.selected(), at - 1)
        self.press("x")
        self.assertIn("fault", self.heading())
        self.press("e")
        self.assertEqual(self.selected(), at)
        self.press("t")
        self.assertEqual(self.find("#axis").text, "axis: time")
        self.press("f")
        self.assertEqual(self.run_script("return orrery.layout.bands.filter((band) => !band.pinned).length"), 1)
        self.press("?")
        self.assertTrue(self.find("#help").is_displayed())

    def test_light_and_dark(self):
        def brightness():
            # Of what the canvas is filled with, not only what the style sheet says.
            red, green, blue, _ = self.run_script("""
                orrery.timeline.draw();
                const { context, canvas } = orrery.timeline;
                return Array.from(context.getImageData(canvas.width - 2, canvas.height - 2, 1, 1).data)""")
            return red + green + blue
        # The page learns of the scheme by an event, so that its colours may change a moment later.
        for scheme, as_it_should_be in (("light", lambda: brightness() > 600), ("dark", lambda: brightness() < 200)):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            self.wait(as_it_should_be)


if __name__ == "__main__":
    PAGE = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
