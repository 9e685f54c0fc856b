// The page's script: tabs, search as you type over all experts, links that unfold a tree. Without it all but the
// search works. It puts text into the page through `textContent` only.

let script = #"""
  (() => {
  "use strict";
  const $ = id => document.getElementById(id);
  document.documentElement.classList.add("js");

  // Tabs: arrow keys move between them, as screen readers expect.
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const select = tab => tabs.forEach(other => {
    const on = other === tab;
    other.setAttribute("aria-selected", on);
    other.tabIndex = on ? 0 : -1;
    $(other.getAttribute("aria-controls")).hidden = !on;
  });
  if (tabs.length) {
    tabs[0].parentElement.hidden = false;
    tabs.forEach((tab, index) => {
      const panel = $(tab.getAttribute("aria-controls"));
      panel.setAttribute("role", "tabpanel");
      panel.removeAttribute("aria-label");
      panel.setAttribute("aria-labelledby", tab.id);
      tab.addEventListener("click", () => select(tab));
      tab.addEventListener("keydown", event => {
        const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
        if (!step) return;
        const next = tabs[(index + step + tabs.length) % tabs.length];
        select(next);
        next.focus();
      });
    });
    select(tabs[0]);
  }

  // Shows only trees in mostly Latin letters while the box is ticked, and unfolds the first three.
  const latin = $("latin");
  if (latin) {
    latin.closest("p").hidden = false;
    latin.checked = true;
    const count = (text, pattern) => (text.match(pattern) || []).length;
    const filter = () => {
      for (const panel of document.querySelectorAll("#lists .panel")) {
        let shown = 0;
        for (const tree of panel.querySelectorAll(".tree")) {
          const words = [...tree.querySelectorAll(".words")].map(words => words.textContent);
          tree.hidden = latin.checked &&
            [words[0] || "", words.join(" ")].some(text =>
              count(text, /\p{Script=Latin}/gu) < 0.8 * count(text, /\p{L}/gu));
          if (panel.id === "clearest") tree.open = !tree.hidden && shown < 3;
          if (!tree.hidden) shown += 1;
        }
      }
    };
    latin.addEventListener("change", filter);
    filter();
  }

  // A link to a tree unfolds it.
  const show = () => {
    const tree = location.hash.length > 1 && $(decodeURIComponent(location.hash.slice(1)));
    if (!tree || tree.tagName !== "DETAILS") return;
    const tab = tabs.find(tab => $(tab.getAttribute("aria-controls")).contains(tree));
    if (tab) select(tab);
    tree.hidden = false;
    tree.open = true;
    tree.scrollIntoView();
  };
  addEventListener("hashchange", show);
  show();

  const query = $("query");
  if (!query) return;
  query.form.hidden = false;
  query.form.addEventListener("submit", event => event.preventDefault());
  const results = $("results"), unit = results.dataset.unit, lists = $("lists"), status = $("status");
  const fold = word => word.normalize("NFKC").toLowerCase().replace(/^·/, "").trim();
  let words, folded, experts;
  const load = () => {
    if (words) return;
    const data = JSON.parse($("index").textContent);
    words = data.w;
    experts = data.e;
    folded = words.map(fold);
  };

  const make = (tag, name, text) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  // Words with the matching ones marked.
  const list = (element, ids, hits, separator) => {
    ids.forEach((id, index) => {
      if (index) element.append(separator);
      const word = make("bdi");
      word.append(hits.has(id) ? make("mark", "", words[id]) : words[id]);
      element.append(word);
    });
    return element;
  };
  const percent = share =>
    (share < 0.0995 ? (share * 100).toFixed(1) : Math.round(share * 100)) + " %";

  const tree = ([expert, count, score, top, children], position, hits, open) => {
    const box = make("details", "tree"), summary = make("summary");
    box.open = open;
    const inChild = top.some(id => hits.has(id)) ? null :
      children.find(child => child.some((id, index) => index && hits.has(id)));
    const head = list(make("span", "head"), top.slice(0, 4), hits, ", ");
    if (inChild) {
      head.append(" › ");
      list(head, inChild.slice(1).filter(id => hits.has(id)).slice(0, 2), hits, ", ");
    }
    const strip = make("span", "strip");
    strip.setAttribute("aria-hidden", "true");
    const meta = make("span", "meta");
    meta.append(make("span", "", count.toLocaleString("en") + " " + unit + (count === 1 ? "" : "s")),
      make("span", "", "expert " + expert));
    summary.append(make("span", "rank", position), head, strip, meta,
      make("span", "score", (score / 1000).toFixed(3)));
    box.append(summary, list(make("p", "words"), top, hits, " "));
    const subs = make("ul", "subs");
    for (const [size, ...ids] of children.slice(0, 12)) {
      const share = Math.min(1, size / count), piece = make("i");
      piece.style.width = share * 100 + "%";
      strip.append(piece);
      const item = make("li"), bar = make("span", "share"), length = make("i");
      length.style.width = Math.round(size / children[0][0] * 72) + "px";
      bar.append(make("b", "", percent(share)), length);
      item.append(bar, list(make("span", "words"), ids, hits, " "));
      subs.append(item);
    }
    if (children.length) box.append(subs);
    box.append(make("p", "note", children.length > 12 ?
      children.length - 12 + (children.length === 13 ? " sublatent" : " sublatents") +
      " with fewer " + unit + "s not shown" : ""));
    return box;
  };

  const search = () => {
    const wanted = fold(query.value);
    lists.hidden = wanted !== "";
    results.hidden = wanted === "";
    results.textContent = status.textContent = "";
    if (!wanted) return;
    load();
    // 3 for the word itself, 2 for its beginning, 1 for a part of it.
    const inside = wanted.length > 2 || wanted.charCodeAt(0) > 0x2e7f;
    const grade = new Uint8Array(words.length), hits = new Set();
    folded.forEach((word, id) => {
      const at = word.indexOf(wanted);
      if (at < 0 || (at > 0 && !inside)) return;
      grade[id] = word === wanted || word === wanted + "s" ? 3 : at === 0 ? 2 : 1;
      hits.add(id);
    });
    const found = [];
    if (hits.size) for (const entry of experts) {
      let best = 0;
      entry[3].forEach((id, index) => {
        if (grade[id]) best = Math.max(best, grade[id] * 100 - index);
      });
      for (const child of entry[4]) child.forEach((id, index) => {
        if (index && grade[id]) best = Math.max(best, grade[id] * 100 - 40 - index);
      });
      if (best) found.push([best, entry]);
    }
    found.sort((a, b) => b[0] - a[0] || b[1][2] - a[1][2]);
    const limit = 40;
    status.textContent = found.length === 0 ? "No expert has it among its strongest words." :
      found.length === 1 ? "1 expert" :
      found.length + " experts" + (found.length > limit ? ", the first " + limit + " shown" : "");
    const box = make("div", "trees");
    found.slice(0, limit).forEach(([, entry], index) =>
      box.append(tree(entry, index + 1, hits, index < 3)));
    results.append(box);
  };
  let timer;
  query.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, 60);
  });
  query.addEventListener("keydown", event => {
    if (event.key === "Escape" && query.value) {
      query.value = "";
      search();
    }
  });
  addEventListener("keydown", event => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName)) return;
    event.preventDefault();
    query.focus();
  });
  if (query.value) search();
  })();
  """#
