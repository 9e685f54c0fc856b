// The explorer's script: search as you type, choose a token without loading a new page, save labels in place. Links and
// forms work without it.

#if Explorer
let explorerScript = """
  'use strict';
  // Screen readers read this line aloud when it changes.
  const say = text => { const line = document.getElementById('said'); if (line) line.textContent = text; };
  const fail = (place, words) => {
    const note = document.createElement('p');
    note.className = 'lead';
    note.setAttribute('role', 'alert');
    note.textContent = words;
    place.replaceChildren(note);
  };
  const gone = 'The explorer does not answer. Is hsae explore still running?';
  // Puts a part of a page in its place. Returns false if it did not come, or if another part was asked for meanwhile.
  const wanted = new Map();
  const swap = async (place, address) => {
    wanted.set(place, address);
    const isWanted = () => wanted.get(place) === address;
    const answer = await fetch(address + (address.includes('?') ? '&' : '?') + 'fragment=1').catch(() => null);
    if (!isWanted()) return false;
    if (!answer) { fail(place, gone); return false; }
    if (!answer.ok) { location.href = address; return false; }
    const html = await answer.text();
    if (!isWanted()) return false;
    place.innerHTML = html;
    return true;
  };

  document.querySelectorAll('details[data-from]').forEach(more => more.addEventListener('toggle', async () => {
    if (more.open && !more.dataset.there && await swap(more.querySelector('div'), more.dataset.from))
      more.dataset.there = 'yes';
  }));

  const filters = document.getElementById('filters');
  const results = document.getElementById('results');
  if (filters && results) {
    let timer, latest = 0;
    const show = () => {
      const address = filters.getAttribute('action') + '?' + new URLSearchParams(new FormData(filters));
      const own = ++latest;
      const put = (html, isPage) => {
        if (own !== latest) return;
        // An error comes as a whole page.
        if (isPage) fail(results, new DOMParser().parseFromString(html, 'text/html').querySelector('.lead').textContent);
        else results.innerHTML = html;
        say(results.querySelector('.count')?.textContent ?? '');
        history.replaceState(null, '', address);
      };
      fetch(address + '&fragment=1').then(async answer => put(await answer.text(), !answer.ok))
        .catch(() => { if (own === latest) fail(results, gone); });
    };
    filters.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(show, 120); });
    filters.addEventListener('submit', event => { event.preventDefault(); show(); });
  }

  const parts = document.getElementById('parts'), typing = document.getElementById('typing');
  if (parts && typing) {
    const choices = () => parts.querySelectorAll('.token input');
    parts.addEventListener('change', async event => {
      const address = typing.getAttribute('action') + '?' + new URLSearchParams(new FormData(typing));
      const place = [...choices()].indexOf(event.target);
      if (!await swap(parts, address)) return;
      history.replaceState(null, '', address);
      choices()[place]?.focus();
      say([...parts.querySelectorAll('[data-said]')].map(line => line.dataset.said).join('. '));
    });
    // For another text no token is chosen, and the page shows the one that is explained least.
    document.getElementById('text').addEventListener('input', () =>
      choices().forEach(choice => { choice.checked = false; }));
  }

  const steering = document.getElementById('steering');
  if (steering) {
    const slider = document.getElementById('slider'), strength = steering.elements.strength;
    slider.addEventListener('input', () => { strength.value = slider.value; });
    strength.addEventListener('input', () => { slider.value = strength.value; });
    const written = document.getElementById('written'), state = document.getElementById('state');
    const stop = document.getElementById('stop');
    let writing;
    stop.addEventListener('click', () => writing?.abort());
    const column = (title, kind, prompt) => {
      const place = document.createElement('section');
      place.className = 'column';
      place.innerHTML = '<h2></h2><p class="text" dir="auto"><span class="prompt"></span><span></span></p>';
      place.querySelector('h2').textContent = title;
      place.querySelector('.prompt').textContent = prompt;
      place.querySelector('p').lastChild.dataset.kind = kind;
      return place;
    };
    let isDone;
    // The words beside the form belong to the latent of the address.
    steering.elements.latent.addEventListener('input', () => document.getElementById('named')?.remove());
    const show = (event) => {
      if (event.error) throw new Error(event.error);
      if (event.kind === 'end') { isDone = true; state.textContent = 'Done.'; }
      else written.querySelector(`[data-kind=${event.kind}]`).textContent += event.text;
    };
    steering.addEventListener('submit', async event => {
      const fields = new FormData(steering);
      if (!/^\\d+([./]\\d+)?$/.test(fields.get('latent').trim())) return;
      event.preventDefault();
      writing?.abort();
      const own = writing = new AbortController();
      const body = {latent: fields.get('latent').trim(), prompt: fields.get('prompt')};
      for (const name of ['strength', 'n_tokens', 'temperature', 'freq_penalty', 'seed'])
        if (fields.get(name)) body[name] = Number(fields.get(name));
      for (const name of ['with_parent', 'ablate', 'skip_prompt']) body[name] = fields.has(name);
      const page = new URL(steering.action).pathname;
      // The example that the page begins with is not in the address: going back would wait for it.
      if (event.submitter) history.replaceState(null, '', page + '?' + new URLSearchParams(fields));
      const columns = document.createElement('div');
      columns.className = 'columns';
      columns.append(column('Without', 'default', body.prompt), column('With', 'steered', body.prompt));
      written.replaceChildren(columns);
      state.textContent = 'Writing …';
      isDone = false;
      stop.hidden = false;
      try {
        const ask = () => fetch('/api/v1' + page,
          {method: 'POST', body: JSON.stringify(body), signal: own.signal});
        let answer = await ask();
        // A request that was stopped may still be busy.
        for (let tries = 0; answer.status === 503 && tries < 8; tries++) {
          await new Promise(done => setTimeout(done, 250));
          answer = await ask();
        }
        if (!answer.ok) throw new Error((await answer.json()).error);
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let rest = '', part; !(part = await reader.read()).done;) {
          const lines = (rest + part.value).split('\\n');
          rest = lines.pop();
          lines.forEach(line => show(JSON.parse(line)));
        }
        if (!isDone) throw new Error('The explorer ended before it was done.');
      } catch (error) {
        if (own === writing) state.textContent = own.signal.aborted ? 'Stopped.' : error.message;
      }
      if (own === writing) stop.hidden = true;
    });
    if ('begin' in steering.dataset) steering.requestSubmit();
  }

  const labelling = document.querySelector('.labelling[action$="/label"]');
  if (labelling) labelling.addEventListener('submit', async event => {
    event.preventDefault();
    const state = labelling.querySelector('[role=status]');
    const address = '/api/v1' + new URL(labelling.action).pathname;
    const {label, previous} = labelling.elements;
    const isRemoved = event.submitter?.name === 'remove';
    const body = JSON.stringify({label: isRemoved ? '' : label.value, previous: previous.value});
    const answer = await fetch(address, {method: 'PUT', body}).catch(() => null);
    const said = answer ? await answer.json() : {error: 'the explorer does not answer.'};
    if (!answer?.ok) { state.textContent = 'Not saved: ' + said.error; return; }
    state.textContent = said.label ? 'Saved.' : previous.value ? 'Label removed.' : 'There is no label.';
    label.value = previous.value = said.label ?? '';
    labelling.querySelector('[name=remove]').hidden = !said.label;
    if (isRemoved) label.focus();
    const heading = document.querySelector('h1');
    heading.textContent = said.label ?? heading.dataset.words;
    // The words stand below a label.
    document.getElementById('words').hidden = !said.label;
    document.title = (said.label ?? heading.dataset.words) + document.title.slice(document.title.indexOf(' · '));
  });
  """
#endif
