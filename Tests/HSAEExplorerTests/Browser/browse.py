#!/usr/bin/env python3
"""Walks through a running `hsae explore` with headless Chromium, as a person would.

    browse.py URL EXPECTATIONS [SHOTS]

EXPECTATIONS is JSON: pages (addresses), run, word (which the search must find), expert (the one it must
find), text, parts (for a token's index the experts that must be shown, in order), prompt (which is steered
with the expert), files (a folder of pages to be opened from the disk). SHOTS is a folder for screenshots. Prints one line for each thing that is not as it should be, and fails if there is any.

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
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


def check(driver, width, address):
    """Nothing on the console, nothing wider than the window."""
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

        # A label is saved in place, and still there when the page is opened again.
        label = f"label {width} <b>&"
        driver.get(f"{base}/runs/{run}/latents/{expert}")
        field = driver.find_element(By.CSS_SELECTOR, ".labelling input[name=label]")
        field.clear()
        field.send_keys(label)
        driver.find_element(By.CSS_SELECTOR, ".labelling button").click()
        wait(driver, lambda d: d.find_element(By.CSS_SELECTOR, ".labelling [role=status]").text
             == "Saved.", f"{width} px: the label is not saved")
        driver.get(f"{base}/runs/{run}/latents/{expert}")
        expect(driver.find_element(By.TAG_NAME, "h1").text == label, f"{width} px: the label is gone")
        check(driver, width, "label")

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
                By.CSS_SELECTOR, ".active > li > a.latent .number")]
            expect(shown == [str(e) for e in experts],
                   f"{width} px: token {index} shows {shown}, not {experts}")
        check(driver, width, "text")
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
    check(driver, width, "steer")
    slider = driver.find_element(By.ID, "slider")
    slider.send_keys(Keys.END)
    strength = driver.find_element(By.NAME, "strength")
    expect(strength.get_attribute("value") == "3", f"{width} px: the slider does not set the number")
    area = driver.find_element(By.ID, "prompt")
    area.clear()
    area.send_keys(expected["prompt"])
    driver.find_element(By.CSS_SELECTOR, ".steering button").click()
    wait(driver, lambda d: d.find_element(By.ID, "state").text == "Done.",
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
