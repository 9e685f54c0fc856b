#!/usr/bin/env python3
"""Walks through a running `hsae explore` with headless Chromium, as a person would.

    browse.py URL EXPECTATIONS [SHOTS]

EXPECTATIONS is JSON: pages (addresses), run, word (which the search must find), expert (the one it must
find), text, parts (for a token's index the experts that must be shown, in order), prompt (which is steered
with the expert), files (a folder of pages to be opened from the disk), axe (the file axe.min.js, which looks for
obstacles to people with disabilities; null to leave that out). SHOTS is a folder for screenshots. Prints one line for
each thing that is not as it should be, and fails if there is any.

Needs chromium, chromium-driver and python3-selenium, all Debian packages.
"""
import json
import os
import sys
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

base, expected = sys.argv[1].rstrip("/"), json.loads(sys.argv[2])
shots = sys.argv[3] if len(sys.argv) > 3 else None
complaints = []
axe = open(expected["axe"]).read() if expected.get("axe") else None


def browser(width, profile):
    options = webdriver.ChromeOptions()
    for argument in [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--hide-scrollbars", f"--user-data-dir={profile}",
    ]:
        options.add_argument(argument)
    # Chromium's window cannot be as narrow as a telephone; its emulation can.
    options.add_experimental_option(
        "mobileEmulation", {"deviceMetrics": {"width": width, "height": 900, "pixelRatio": 1.0,
                                              "touch": False}})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.set_script_timeout(300)
    return driver


def audit(driver, width, address, scheme):
    """No fault that axe-core calls serious or critical."""
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": scheme}]})
    driver.execute_script(axe)
    found = driver.execute_async_script("""
        const done = arguments[0];
        axe.run(document, {resultTypes: ['violations'], preload: false}).then(
            result => done(result.violations.filter(fault => ['serious', 'critical'].includes(fault.impact))
                .map(fault => fault.id + ': ' + fault.nodes.slice(0, 3).map(node => node.html.slice(0, 200)).join(' | '))),
            error => done([String(error)]));""")
    complaints.extend(f"{width} px, {scheme}, {address}: {fault}" for fault in found)


def check(driver, width, address):
    """Nothing on the console, nothing wider than the window, no obstacles."""
    if axe:
        for scheme in ("dark", "light") if width > 1000 else ("light",):
            audit(driver, width, address, scheme)
    for entry in driver.get_log("browser"):
        complaints.append(f"{width} px, {address}: console: {entry['message']}")
    wide = driver.execute_script("return document.documentElement.scrollWidth")
    if wide > width:
        complaints.append(f"{width} px, {address}: {wide} px wide")


def expect(condition, words):
    if not condition:
        complaints.append(words)


def wait(driver, condition, words):
    try:
        WebDriverWait(driver, 20).until(condition)
    except Exception:  # the driver has one exception for each way of not finding a thing
        complaints.append(words)


def visit(width, profile):
    driver = browser(width, profile)
    try:
        for number, address in enumerate(expected["pages"]):
            driver.get(base + address)
            check(driver, width, address)
            expect(driver.find_elements(By.TAG_NAME, "h1"), f"{address}: no heading")
            if shots:
                driver.save_screenshot(os.path.join(shots, f"{number:02}-{width}.png"))
        run, expert = expected["run"], expected["expert"]

        # Search as one types.
        driver.get(f"{base}/runs/{run}/latents")
        field = driver.find_element(By.CSS_SELECTOR, "#filters input[type=search]")
        field.send_keys(expected["word"])
        link = f"a.latent[href='/runs/{run}/latents/{expert}']"
        wait(driver, lambda d: "q=" in d.current_url and d.find_elements(By.CSS_SELECTOR, link),
             f"{width} px: typing {expected['word']} does not find latent {expert}")
        check(driver, width, "search")
        said = driver.find_element(By.ID, "said").get_attribute("textContent")
        expect(" of " in said, f"{width} px: the results are announced as {said!r}")
        # The column that the list is sorted by is shown on narrow screens too.
        driver.get(f"{base}/runs/{run}/latents?sort=score")
        expect(driver.find_element(By.CSS_SELECTOR, "td.sorted").is_displayed(),
               f"{width} px: the sorted column is hidden")
        # A search that gets no answer, or is refused, says so and shows no old results.
        field = driver.find_element(By.CSS_SELECTOR, "#filters input[type=search]")
        field.send_keys("a b c d e f g h i j k")
        wait(driver, lambda d: "at most 10 words" in d.find_element(By.ID, "results").text,
             f"{width} px: a refused search is not reported")
        driver.execute_script("window.fetch = () => Promise.reject(new TypeError('gone'))")
        field.clear()
        field.send_keys(expected["word"])
        wait(driver, lambda d: "does not answer" in d.find_element(By.ID, "results").text,
             f"{width} px: a search without an answer is not reported")
        expect(not driver.find_elements(By.CSS_SELECTOR, "#results a.latent"),
               f"{width} px: a search without an answer shows old results")
        driver.get_log("browser")

        # A label is saved in place, and still there when the page is opened again.
        label = f"label {width} <b>&"
        driver.get(f"{base}/runs/{run}/latents/{expert}")
        field = driver.find_element(By.CSS_SELECTOR, ".labelling input[name=label]")
        field.clear()
        field.send_keys(label)
        driver.find_element(By.CSS_SELECTOR, ".labelling button").click()
        wait(driver, lambda d: d.find_element(By.CSS_SELECTOR, ".labelling [role=status]").text
             == "Saved.", f"{width} px: the label is not saved")
        expect(driver.find_element(By.ID, "words").is_displayed(),
               f"{width} px: the first label hides the words")
        driver.get(f"{base}/runs/{run}/latents/{expert}")
        expect(driver.find_element(By.TAG_NAME, "h1").text == label, f"{width} px: the label is gone")
        check(driver, width, "label")

        # A latent is put into a list, is found there, and is taken out.
        driver.find_element(By.CSS_SELECTOR, "form[action$='/lists'] button:not([name])").click()
        wait(driver, lambda d: d.find_elements(By.LINK_TEXT, "bookmarks"), f"{width} px: no bookmark")
        check(driver, width, "bookmarked")
        driver.get(f"{base}/runs/{run}")
        driver.find_element(By.LINK_TEXT, "bookmarks").send_keys(Keys.ENTER)
        wait(driver, lambda d: d.find_elements(By.CSS_SELECTOR, link),
             f"{width} px: the list lacks the latent")
        check(driver, width, "list")
        driver.get(f"{base}/runs/{run}/latents/{expert}")
        driver.find_element(By.CSS_SELECTOR, "button[name=remove][value=bookmarks]").click()
        wait(driver, lambda d: not d.find_elements(By.LINK_TEXT, "bookmarks"),
             f"{width} px: the bookmark stays")
        # The label goes with its own button.
        driver.find_element(By.CSS_SELECTOR, "form[action$='/label'] button[name=remove]").click()
        wait(driver, lambda d: d.find_element(By.CSS_SELECTOR, ".labelling [role=status]").text
             == "Label removed.", f"{width} px: the label is not removed")
        # Headings sort.
        driver.get(f"{base}/runs/{run}/latents")
        if width > 600:
            driver.find_element(By.LINK_TEXT, "strongest").click()
            wait(driver, lambda d: "sort=maximum" in d.current_url
                 and d.find_element(By.CSS_SELECTOR, "th.sorted").text == "strongest",
                 f"{width} px: a heading does not sort")
            check(driver, width, "sorted")
        driver.get(f"{base}/runs/{run}/latents/{expert}")

        # The activations of tokens are shown by a checkbox, for touch and keyboard.
        def after(element):
            return driver.execute_script(
                "return getComputedStyle(arguments[0], '::after').content", element)
        marked = driver.find_element(By.CSS_SELECTOR, ".contexts mark")
        expect(after(marked) == "none", f"{width} px: activations are shown unasked")
        driver.find_element(By.ID, "values").send_keys(Keys.SPACE)
        expect(marked.get_attribute("title") in after(marked), f"{width} px: activations are not shown")
        check(driver, width, "activations")

        # The text of the page of a latent, and its address.
        area = driver.find_element(By.ID, "text")
        area.send_keys(expected["text"])
        driver.find_element(By.CSS_SELECTOR, ".typing button").click()
        wait(driver, lambda d: "text=" in d.current_url and "It fires at" in d.page_source,
             f"{width} px: the page of a latent shows nothing in a text")
        check(driver, width, "own text")
        shoot(driver, width, "own-text")
        field = driver.find_element(By.CSS_SELECTOR, ".go input")
        field.send_keys(f"{expert}.0" + Keys.ENTER)
        wait(driver, lambda d: d.current_url.endswith(f"/latents/{expert}.0"),
             f"{width} px: a number does not lead to its latent")
        driver.get(f"{base}/runs/{run}/latents/{expert}")

        # Further contexts come when they are unfolded.
        more = driver.find_elements(By.CSS_SELECTOR, "#more[data-from]")
        if more:
            more[0].find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
            wait(driver, lambda d: d.find_elements(By.CSS_SELECTOR, "#more .contexts li"),
                 f"{width} px: no further contexts")
            check(driver, width, "further contexts")
        else:
            complaints.append(f"{width} px: latent {expert} has no further contexts")

        # A text, then another token of it.
        driver.get(f"{base}/text?runs={run}")
        area = driver.find_element(By.ID, "text")
        area.clear()
        area.send_keys(expected["text"])
        driver.find_element(By.CSS_SELECTOR, ".typing button").click()
        for index, experts in expected["parts"].items():
            token = f".tokens label:nth-child({int(index) + 1})"
            wait(driver, lambda d: d.find_elements(By.CSS_SELECTOR, token), "no tokens")
            driver.find_element(By.CSS_SELECTOR, token).click()
            # The answer is there when it is in the address.
            wait(driver, lambda d: f"at={index}" in d.current_url,
                 f"{width} px: token {index} cannot be chosen")
            expect(driver.find_elements(By.CSS_SELECTOR, token + ".current:has(:checked)"),
                   f"{width} px: token {index} is not the chosen one")
            shown = [e.text for e in driver.find_elements(
                By.CSS_SELECTOR, ".active > li > span > a.latent .number")]
            expect(shown == [str(e) for e in experts],
                   f"{width} px: token {index} shows {shown}, not {experts}")
            said = driver.find_element(By.ID, "said").get_attribute("textContent")
            expect("% explained" in said, f"{width} px: token {index} is announced as {said!r}")
        check(driver, width, "text")
        # A latent shades the sentence; the address keeps it.
        driver.find_element(By.CSS_SELECTOR, ".active button[name=shade]").send_keys(Keys.ENTER)
        wait(driver, lambda d: "shade=" in d.current_url and "Shaded by" in d.page_source,
             f"{width} px: a latent does not shade the text")
        check(driver, width, "shaded text")
        shoot(driver, width, "shaded-text")
        driver.find_element(By.CSS_SELECTOR, ".tokens label:nth-child(2)").click()
        wait(driver, lambda d: "at=1" in d.current_url, f"{width} px: no other token")
        expect("shade=" in driver.current_url and "Shaded by" in driver.page_source,
               f"{width} px: another token ends the shading")
        steer(driver, width, run, expert)
        files(driver, width, run, expert)
    finally:
        driver.quit()


def shoot(driver, width, name):
    if shots:
        driver.save_screenshot(os.path.join(shots, f"{name}-{width}.png"))


def steer(driver, width, run, expert):
    """From a latent's page to what the model writes with it; a second time by the address alone."""
    driver.get(f"{base}/runs/{run}/latents/{expert}")
    driver.find_element(By.LINK_TEXT, "Steer with it").click()
    expect(f"/runs/{run}/steer?latent={expert}" in driver.current_url,
           f"{width} px: {expert} cannot be steered from its page")
    # An example is written at once.
    wait(driver, lambda d: d.find_element(By.ID, "state").text == "Done.",
         f"{width} px: no example is written")
    check(driver, width, "steer")
    slider = driver.find_element(By.ID, "slider")
    slider.send_keys(Keys.END)
    strength = driver.find_element(By.NAME, "strength")
    expect(strength.get_attribute("value") == "3", f"{width} px: the slider does not set the number")
    area = driver.find_element(By.ID, "prompt")
    area.clear()
    area.send_keys(expected["prompt"])
    driver.find_element(By.CSS_SELECTOR, ".steering button").click()
    # The prompt stands in the text when the writing has begun.
    wait(driver, lambda d: d.find_element(By.ID, "state").text == "Done."
         and d.find_element(By.CSS_SELECTOR, "#written .prompt").text == expected["prompt"],
         f"{width} px: nothing is written")
    texts = [driver.find_element(By.CSS_SELECTOR, f"[data-kind={kind}]").text
             for kind in ("default", "steered")]
    expect(all(texts) and texts[0] != texts[1], f"{width} px: steering gives {texts}")
    check(driver, width, "steered")
    shoot(driver, width, "steered")
    driver.get(driver.current_url)
    expect([len(driver.find_elements(By.CSS_SELECTOR, f"[data-kind={kind}]"))
            for kind in ("default", "steered")] == [1, 1], f"{width} px: the address gives no texts")
    check(driver, width, "steered again")
    # Words in place of a number give latents to choose from.
    latent = driver.find_element(By.NAME, "latent")
    latent.clear()
    latent.send_keys(expected["word"])
    driver.find_element(By.CSS_SELECTOR, ".steering button").click()
    wait(driver, lambda d: d.find_elements(By.CSS_SELECTOR, "#written a.latent"),
         f"{width} px: {expected['word']} gives no latents to steer with")
    check(driver, width, "steer by word")


def files(driver, width, run, expert):
    """The pages as files, from the disk: they open, and words lead to latents."""
    folder = "file://" + expected["files"]
    driver.get(folder + "/index.html")
    check(driver, width, "files")
    shoot(driver, width, "files")
    expect(driver.find_elements(By.TAG_NAME, "h1"), f"{width} px: files: no heading")
    if not driver.find_elements(By.CSS_SELECTOR, ".find"):
        driver.find_element(By.LINK_TEXT, run).click()
    field = driver.find_element(By.CSS_SELECTOR, ".find input")
    field.send_keys(expected["word"] + Keys.ENTER)
    link = f"#found a.latent[href='latents/{expert}.html']"
    wait(driver, lambda d: d.find_elements(By.CSS_SELECTOR, link),
         f"{width} px: files: {expected['word']} does not find latent {expert}")
    check(driver, width, "files, search")
    shoot(driver, width, "files-search")
    driver.find_element(By.CSS_SELECTOR, link).click()
    wait(driver, lambda d: f"latents/{expert}.html" in d.current_url, "no such page")
    expect(driver.find_elements(By.ID, "contexts"), f"{width} px: files: no contexts")
    check(driver, width, "files, latent")
    shoot(driver, width, "files-latent")
    driver.find_element(By.LINK_TEXT, "Latents").click()
    field = driver.find_element(By.CSS_SELECTOR, "#search input")
    field.send_keys("zzzz no such word")
    wait(driver, lambda d: d.find_element(By.ID, "found").text == "Nothing found.",
         f"{width} px: files: what is nowhere is not said")
    field.clear()
    field.send_keys(expected["word"])
    wait(driver, lambda d: d.find_elements(By.CSS_SELECTOR, link),
         f"{width} px: files: typing does not find")
    check(driver, width, "files, typing")


for width in (1280, 390):
    with tempfile.TemporaryDirectory() as profile:
        visit(width, profile)
print("\n".join(complaints), end="\n" if complaints else "")
sys.exit(1 if complaints else 0)
