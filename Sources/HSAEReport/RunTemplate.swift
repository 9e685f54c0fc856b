// The page of one run, with at most one baseline beside it, and the pieces it shares with the
// comparison of several runs.

let runTemplate = """
  {{#hasTrees}}
  <section id="hierarchies" aria-labelledby="hierarchies-title">
  <h2 id="hierarchies-title">Hierarchies</h2>
  <p class="lead">Each line is an expert: the {{{unit}}}s it responds to most, and how they divide among
  its sublatents. Unfold one to read it.</p>
  {{#hasIndex}}
  <form class="search" role="search" hidden>
  <label for="query">Find a word among all {{{experts}}} experts</label>
  <input id="query" type="search" autocomplete="off" spellcheck="false" enterkeyhint="search"
  placeholder="october, violin, 北京 …" aria-controls="results">
  <p id="status" role="status"></p>
  </form>
  <div id="results" data-unit="{{{unit}}}" hidden></div>
  {{/hasIndex}}
  <div id="lists">
  <div class="tabs" role="tablist" aria-label="Which hierarchies" hidden>
  <button type="button" role="tab" id="tab-clearest" aria-controls="clearest"
  aria-selected="true">Clearest {{{clearestCount}}}</button>
  <button type="button" role="tab" id="tab-sample" aria-controls="sample"
  aria-selected="false" tabindex="-1">Random {{{sampleCount}}}</button>
  </div>
  <p class="filter" hidden><label><input type="checkbox" id="latin"> only hierarchies in mostly Latin letters</label></p>
  <div class="panel" id="clearest" role="region" aria-label="Clearest hierarchies">
  <h3 class="plain">The clearest</h3>
  {{^hasClearest}}<p class="empty">No expert has a hierarchy that scores above 0.</p>{{/hasClearest}}
  <div class="trees">
  {{#clearest}}{{> tree}}{{/clearest}}
  </div>
  </div>
  <div class="panel" id="sample" role="region" aria-label="Hierarchies drawn at random">
  <h3 class="plain">Drawn at random</h3>
  <p class="small">{{{sampleCount}}} of the experts that are alive, drawn with seed {{{seed}}},
  whatever they score: what a hierarchy of this dictionary is usually like.</p>
  <div class="trees">
  {{#sample}}{{> tree}}{{/sample}}
  </div>
  </div>
  </div>
  <details class="how">
  <summary>How the clearest are chosen</summary>
  {{> how}}
  </details>
  </section>
  {{/hasTrees}}
  {{#hasWords}}
  <section id="words" aria-labelledby="words-title">
  <h2 id="words-title">Words</h2>
  <p class="lead">What the dictionary makes of a word: its active experts with their strongest words
  and, below each, the sublatent chosen. A sublatent says something only where its code reaches the
  threshold {{{threshold}}}.</p>
  <div class="cards">
  {{#words}}
  <article class="card">
  {{> card}}
  {{#hasOther}}
  <details class="other"><summary>in the flat dictionary</summary>
  {{#other}}{{> experts}}{{/other}}
  </details>
  {{/hasOther}}
  </article>
  {{/words}}
  </div>
  </section>
  {{/hasWords}}
  <section id="numbers" aria-labelledby="numbers-title">
  <h2 id="numbers-title">Numbers</h2>
  {{> numbers}}
  </section>
  {{#hasCharts}}
  <section id="training" aria-labelledby="training-title">
  <h2 id="training-title">Training</h2>
  <div class="charts">{{{charts}}}</div>
  </section>
  {{/hasCharts}}
  {{#hasDensities}}
  <section id="densities" aria-labelledby="densities-title">
  <h2 id="densities-title">Densities</h2>
  <p class="lead">How many latents are active, and sublatents chosen, for what share of the vectors.
  A latent that never is, is dead; a sublatent is dead, too, if its code is always below the threshold.</p>
  <div class="charts">{{{densities}}}</div>
  </section>
  {{/hasDensities}}
  {{#hasConfigurations}}
  <section id="configuration" aria-labelledby="configuration-title">
  <h2 id="configuration-title">Configuration</h2>
  {{#configurations}}
  <details class="how"><summary>{{{name}}}</summary>
  <dl class="configuration">
  {{#entries}}<div><dt>{{{key}}}</dt><dd>{{{value}}}</dd></div>{{/entries}}
  </dl>
  </details>
  {{/configurations}}
  </section>
  {{/hasConfigurations}}
  """

let treeTemplate = """
  <details class="tree" id="{{{id}}}"{{#open}} open{{/open}}>
  <summary><span class="rank">{{{rank}}}</span><span class="head">{{{head}}}</span>\
  <span class="strip" aria-hidden="true">{{{strip}}}</span>\
  <span class="meta"><span>{{{count}}}</span><span>{{{live}}} \
  sublatent{{^one}}s{{/one}}</span></span><span class="score">\
  <span class="hush">score </span>{{{score}}}</span></summary>
  <p class="words">{{{words}}}</p>
  {{#hasChildren}}<ul class="subs">
  {{#children}}<li><span class="share" title="sublatent {{{sublatent}}}: {{{childCount}}}">\
  <b>{{{share}}}</b><i style="width:{{{width}}}px"></i></span>\
  <span class="words">{{{childWords}}}</span></li>
  {{/children}}</ul>{{/hasChildren}}
  <p class="note">expert {{{expert}}}{{#hasHidden}} · {{{hidden}}} sublatents with fewer {{{unit}}}s not \
  shown{{/hasHidden}}{{#hasScore}} · {{{score}}} = cohesion {{{cohesion}}} × margin {{{margin}}} × \
  √(gain {{{gain}}} × richness {{{richness}}} × readability {{{readability}}}){{/hasScore}}</p>
  </details>
  """

let howTemplate = """
  <p>By a score between 0 and 1, computed for every expert and never by hand. A sublatent counts as
  live if it is relevant (code at or above the threshold) for at least 5 distinct words; an expert
  with fewer than 3 live sublatents scores 0. Of each live sublatent the 16 strongest distinct words
  are judged. With <i>w</i> the mean cosine of two words of one sublatent and <i>b</i> that of words
  of different sublatents of the expert, both above the mean cosine of random words:</p>
  <p class="formula">score = <b>cohesion</b> × <b>margin</b> ×
  √(<b>gain</b> × <b>richness</b> × <b>readability</b>)</p>
  <dl class="terms">
  <div><dt>cohesion</dt><dd><i>b</i> / (<i>b</i> + 0.1): the sublatents have something in
  common</dd></div>
  <div><dt>margin</dt><dd>(<i>w</i> − <i>b</i>) / (<i>w</i> − <i>b</i> + 0.1): each is closer knit
  than the whole</dd></div>
  <div><dt>gain</dt><dd><i>e</i> / (<i>e</i> + 0.05), <i>e</i> the share of squared error that the
  sublatents remove</dd></div>
  <div><dt>richness</dt><dd>effective number of live sublatents less one, over 5, at most
  1</dd></div>
  <div><dt>readability</dt><dd>share of the words judged that are whole words and not forms of one
  another</dd></div>
  </dl>
  <p>It measures geometry, not meaning: translations of one word look like a rich family to it, and
  scripts the reader does not know score as well as others. The random sample shows what it leaves
  out. The percentage beside a sublatent is the share of the expert's {{{unit}}}s for which it is relevant;
  the bars compare the sublatents of one expert.</p>
  """

let cardTemplate = """
  <h3>{{{word}}}{{#hasToken}} <small>token {{{token}}}</small>{{/hasToken}}</h3>
  {{^hasToken}}<p class="empty">Not a token of this model.{{#hasSuggestions}} Nearest: \
  {{{suggestions}}}{{/hasSuggestions}}</p>{{/hasToken}}
  {{#isDropped}}<p class="empty">Not among the rows the dictionary was trained on.</p>{{/isDropped}}
  {{#noExperts}}<p class="empty">No active experts.</p>{{/noExperts}}
  {{> experts}}
  """

let expertsTemplate = """
  {{#hasExperts}}<ol class="experts">
  {{#experts}}<li>
  <span class="z" title="expert {{{expert}}}, code {{{z}}}"><i style="width:{{{width}}}px"></i>\
  <b>{{{z}}}</b></span>
  <span class="words">{{{words}}}</span>
  {{#hasChosen}}{{#isRelevant}}<span class="sub"><b title="sublatent {{{sublatent}}}, code {{{c}}}">\
  {{{c}}}</b> {{{subWords}}}</span>{{/isRelevant}}\
  {{^isRelevant}}<span class="sub faint"><b title="sublatent {{{sublatent}}}, code {{{c}}}">\
  {{{c}}}</b> <em>not relevant here</em>{{#hasSubWords}}: {{{subWords}}}{{/hasSubWords}}</span>\
  {{/isRelevant}}{{/hasChosen}}
  </li>
  {{/experts}}
  </ol>{{/hasExperts}}
  """

let numbersTemplate = """
  {{#hasNumbers}}<div class="scroll" tabindex="0" role="region" aria-label="Table of numbers">
  <table class="numbers">
  <thead><tr><th scope="col"><span class="hush">measure</span></th>\
  {{#columns}}<th scope="col">{{{name}}}</th>{{/columns}}</tr></thead>
  <tbody>
  {{#rows}}<tr><th scope="row">{{{label}}}</th>\
  {{#cells}}<td{{#isBest}} class="best"{{/isBest}}>{{{value}}}</td>{{/cells}}</tr>
  {{/rows}}</tbody>
  </table></div>
  <p class="small">{{{evaluated}}}</p>
  {{/hasNumbers}}
  """
