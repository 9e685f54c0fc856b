// The page that sets several runs side by side.

let comparisonTemplate = """
  <section id="numbers" aria-labelledby="numbers-title">
  <h2 id="numbers-title">Numbers</h2>
  {{#hasNumbers}}<div class="scroll" tabindex="0" role="region" aria-label="Table of runs">
  <table class="numbers runs">
  <thead><tr><th scope="col">run</th>\
  {{#columns}}<th scope="col">{{{name}}}</th>{{/columns}}</tr></thead>
  <tbody>
  {{#rows}}<tr><th scope="row">{{{label}}}</th>\
  {{#cells}}<td{{#isBest}} class="best"{{/isBest}}>{{{value}}}</td>{{/cells}}</tr>
  {{/rows}}</tbody>
  </table></div>
  <p class="small">{{{evaluated}}} The best value of a column is marked.</p>{{/hasNumbers}}
  {{#hasDifferences}}
  <h3>What differs between the runs</h3>
  <div class="scroll" tabindex="0" role="region" aria-label="Table of differing options">
  <table class="numbers runs">
  <thead><tr><th scope="col">run</th>\
  {{#options}}<th scope="col"><code>{{{name}}}</code></th>{{/options}}</tr></thead>
  <tbody>
  {{#differences}}<tr><th scope="row">{{{label}}}</th>\
  {{#cells}}<td>{{{value}}}</td>{{/cells}}</tr>
  {{/differences}}</tbody>
  </table></div>
  {{/hasDifferences}}
  </section>
  {{#hasWords}}
  <section id="words" aria-labelledby="words-title">
  <h2 id="words-title">Words</h2>
  <p class="lead">What each run makes of a word: its active experts with their strongest words and,
  below each, the sublatent chosen; faint where its code is below the threshold.</p>
  {{#words}}
  <section class="versus" id="word-{{{anchor}}}" aria-labelledby="word-{{{anchor}}}-title">
  <h3 id="word-{{{anchor}}}-title">{{{word}}}</h3>
  <div class="columns" tabindex="0" role="region" aria-label="Runs side by side">
  {{#runs}}<div class="card"><h4>{{{run}}}</h4>
  {{#lookup}}{{#isDropped}}<p class="empty">Not among the rows of this run.</p>{{/isDropped}}\
  {{^hasToken}}<p class="empty">Not a token of this model.</p>{{/hasToken}}\
  {{#noExperts}}<p class="empty">No active experts.</p>{{/noExperts}}{{> experts}}{{/lookup}}
  {{^lookup}}<p class="empty">Not looked up in this run.</p>{{/lookup}}
  </div>{{/runs}}
  </div>
  </section>
  {{/words}}
  </section>
  {{/hasWords}}
  {{#hasTrees}}
  <section id="hierarchies" aria-labelledby="hierarchies-title">
  <h2 id="hierarchies-title">Hierarchies</h2>
  <p class="lead">The clearest of each run, by the same score.</p>
  {{#runTrees}}
  <h3>{{{name}}}</h3>
  <div class="trees">{{#clearest}}{{> tree}}{{/clearest}}</div>
  {{/runTrees}}
  <details class="how"><summary>How the clearest are chosen</summary>
  {{> how}}
  </details>
  </section>
  {{/hasTrees}}
  {{#hasCharts}}
  <section id="training" aria-labelledby="training-title">
  <h2 id="training-title">Training</h2>
  <div class="charts">{{{charts}}}</div>
  </section>
  {{/hasCharts}}
  """
