// What pages do beyond links and forms, all of which work without it: search as one types, a click on a
// token without a new page, labels saved in place.

#if Explorer
let explorerScript = """
  'use strict';
  const swap = async (place, address) => {
    const answer = await fetch(address + (address.includes('?') ? '&' : '?') + 'fragment=1');
    if (!answer.ok) { location.href = address; return; }
    place.innerHTML = await answer.text();
  };

  const filters = document.getElementById('filters');
  const results = document.getElementById('results');
  if (filters && results) {
    let timer, latest = 0;
    const show = () => {
      const address = filters.getAttribute('action') + '?' + new URLSearchParams(new FormData(filters));
      const own = ++latest;
      fetch(address + '&fragment=1').then(answer => answer.text()).then(html => {
        if (own !== latest) return;
        results.innerHTML = html;
        history.replaceState(null, '', address);
      });
    };
    filters.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(show, 120); });
    filters.addEventListener('submit', event => { event.preventDefault(); show(); });
  }

  const parts = document.getElementById('parts');
  if (parts) parts.addEventListener('click', async event => {
    const link = event.target.closest('a.token');
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    const address = link.getAttribute('href');
    const index = [...link.parentNode.children].indexOf(link);
    const column = [...parts.querySelectorAll('.tokens')].indexOf(link.parentNode);
    await swap(parts, address);
    history.replaceState(null, '', address);
    parts.querySelectorAll('.tokens')[column]?.children[index]?.focus();
  });

  const labelling = document.querySelector('.labelling');
  if (labelling) labelling.addEventListener('submit', async event => {
    event.preventDefault();
    const state = labelling.querySelector('[role=status]');
    const address = '/api/v1' + new URL(labelling.action).pathname;
    const body = JSON.stringify({label: labelling.elements.label.value});
    const answer = await fetch(address, {method: 'PUT', body}).catch(() => null);
    state.textContent = answer && answer.ok ? 'Saved.' : 'Not saved: ' +
      (answer ? (await answer.json()).error : 'the explorer does not answer.');
  });
  """
#endif
