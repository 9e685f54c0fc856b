// The script of pages that are files: it finds words. The index consists of scripts, because browsers forbid pages
// opened from a disk to fetch anything else.

#if Explorer
let pagesScript = """
  'use strict';
  const found = document.getElementById('found'), search = document.getElementById('search');
  const parts = {}, waiting = {};
  const load = name => parts[name] ??= new Promise((done, failed) => {
    const script = document.createElement('script');
    waiting[name] = done;
    script.src = `search/${name}.js`;
    script.onerror = () => { delete parts[name]; failed(new Error(`${script.src} is missing`)); };
    document.head.append(script);
  });
  window.hsaeContents = value => waiting.contents(value);
  window.hsaeWords = (number, value) => waiting[`words-${number}`](value);
  window.hsaeNames = (number, value) => waiting[`names-${number}`](value);

  const fold = text => text.normalize('NFD').replace(/\\p{M}/gu, '').toLowerCase()
    .match(/[\\p{L}\\p{N}]+/gu) ?? [];

  // Latents with their ranks: the lowest comes first, and the word itself comes before longer words.
  const latentsAt = async word => {
    const contents = await load('contents'), ranks = new Map();
    ranks.isCut = false;
    let number = Math.max(0, contents.first.findLastIndex(first => first <= word));
    for (let files = 0; files < 8 && number < contents.first.length; files++, number++) {
      if (files && !contents.first[number].startsWith(word)) break;
      const words = await load(`words-${number}`);
      for (const [key, list] of Object.entries(words)) if (key.startsWith(word)) {
        const latents = list.split(' ');
        ranks.isCut ||= latents.length >= contents.longest;
        latents.forEach((latent, place) => {
          const rank = place + (key === word ? 0 : 1000 + key.length);
          ranks.set(latent, Math.min(rank, ranks.get(latent) ?? Infinity));
        });
      }
    }
    return ranks;
  };

  const element = (name, className, text) => {
    const element = document.createElement(name);
    element.className = className;
    element.textContent = text;
    return element;
  };

  const item = async latent => {
    const {block} = await load('contents'), [expert, sublatent] = latent.split('.');
    const [words, label] = (await load(`names-${Math.floor(expert / block)}`))[latent];
    const link = element('a', 'latent', '');
    link.href = `latents/${expert}.html` + (sublatent ? `#s${sublatent}` : '');
    link.append(element('span', 'number', latent), ' ');
    if (label) link.append(element('b', 'label', label), ' ');
    link.append(element('span', 'words', words.replaceAll('\u{2581}', '')));
    const item = document.createElement('li');
    item.append(link);
    return item;
  };

  let latest = 0;
  const show = async (text, shown) => {
    const own = ++latest, words = fold(text);
    document.getElementById('results').hidden = words.length > 0;
    if (!words.length) { found.replaceChildren(); return; }
    try {
      const [first, ...others] = await Promise.all(words.map(latentsAt));
      const more = first.isCut || others.some(other => other.isCut) ? ' or more' : '';
      const ranked = [...first].filter(([latent]) => others.every(other => other.has(latent)))
        .map(([latent, rank]) => [latent, others.reduce((sum, other) => sum + other.get(latent), rank)])
        .sort((one, other) => one[1] - other[1]).map(([latent]) => latent);
      const list = element('ul', 'plainlist', '');
      list.append(...await Promise.all(ranked.slice(0, shown).map(item)));
      if (own !== latest) return;
      const count = ranked.length ? `${ranked.length}${more} found` : 'Nothing found.';
      found.replaceChildren(element('p', 'count', count), list);
      if (ranked.length > shown) {
        const button = element('button', '', 'Show more');
        button.addEventListener('click', () => show(text, shown + 100));
        found.append(button);
      }
    } catch (error) {
      if (own === latest) found.replaceChildren(element('p', 'empty', error.message));
    }
  };

  if (search && found) {
    const field = search.elements.q;
    let timer;
    field.addEventListener('input', () => {
      clearTimeout(timer);
      timer = setTimeout(() => show(field.value, 25), 120);
    });
    search.addEventListener('submit', event => { event.preventDefault(); show(field.value, 25); });
    field.value = new URLSearchParams(location.search).get('q') ?? '';
    if (field.value) show(field.value, 25);
  }
  """
#endif
