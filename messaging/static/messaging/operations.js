"use strict";
/* Ask the site for its state every two seconds, and show the state in tiles, plots and tables. */

(function () {
  var EVERY_MS = 2000, KEPT_MS = 30 * 60 * 1000, ROWS = 30;
  var page = JSON.parse(document.getElementById("im-page").textContent), words = page.words;
  var samples = [], plots = {}, isPaused = false;
  imPlots.words = words;

  function element(id) { return document.getElementById(id); }

  function setText(target, value) {
    if (target.textContent !== value) { target.textContent = value; }
  }

  function notice(value) {
    var box = element("im-notice");
    setText(box, value);
    box.hidden = !value;
  }

  function largest(values) {
    var numbers = values.filter(function (each) { return each !== null && each !== undefined; });
    return numbers.length ? Math.max.apply(null, numbers) : null;
  }

  function tile(name, value, unit, isBad) {
    var box = element("im-tile-" + name);
    setText(box, imPlots.text(value === undefined ? null : value, unit));
    box.dataset.bad = Boolean(isBad);
  }

  function showTiles(last) {
    var lag = largest(Object.values(last.lag));
    tile("pending", last.pending, "");
    tile("oldest", last.pendingOldest, words.seconds, last.pendingOldest > 300);
    tile("stored", last.stored, "");
    tile("lag", lag, words.seconds, lag > 60);
    tile("letters", last.lettersOpen, "", last.lettersOpen > 0);
    tile("unaccounted", last.unaccounted, "", last.unaccounted > 0);
  }

  function showTable(name, series) {
    var table = element("im-table-" + name);
    if (!table.closest("details").open) { return; }
    var step = Math.max(1, Math.floor(samples.length / ROWS)), rows = [];
    for (var at = samples.length - 1; at >= 0 && rows.length < ROWS; at -= step) { rows.push(samples[at]); }
    var head = document.createElement("tr");
    [words.time].concat(series.map(function (each) { return each.label; })).forEach(function (label) {
      var cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = label;
      head.append(cell);
    });
    table.replaceChildren(head);
    rows.forEach(function (sample) {
      var row = document.createElement("tr");
      [imPlots.clock(sample.t / 1000)].concat(series.map(function (each) {
        return imPlots.text(each.of(sample), each.unit);
      })).forEach(function (value) { row.insertCell().textContent = value; });
      table.append(row);
    });
  }

  /* A plot is drawn anew only where its series or its width have changed. */
  function showPlot(name, series) {
    var box = element("im-plot-" + name), shape = series.map(function (each) { return each.label; }).join();
    var plot = plots[name];
    if (plot && (plot.shape !== shape || plot.width !== box.clientWidth)) {
      plot.drawn.destroy();
      plot = null;
    }
    if (!plot) { plot = plots[name] = { shape: shape, width: box.clientWidth, drawn: imPlots.draw(box, series, samples) }; }
    else { imPlots.update(plot.drawn, imPlots.data(series, samples)); }
    var last = samples[samples.length - 1];
    setText(element("im-now-" + name), series.map(function (each) {
      return each.label + ": " + imPlots.text(each.of(last), each.unit);
    }).join(", ") || words.none);
  }

  function show() {
    if (!samples.length) { return; }
    showTiles(samples[samples.length - 1]);
    Object.entries(imPlots.describe(words, samples)).forEach(function (entry) {
      showPlot(entry[0], entry[1]);
      showTable(entry[0], entry[1]);
    });
  }

  function take(state) {
    var status = element("im-status");
    setText(status, state.text);
    status.dataset.status = state.status;
    if (state.series === null) {
      notice(words.away);
      return;
    }
    notice("");
    samples = samples.concat(state.series.samples);
    while (samples.length && samples[0].t < samples[samples.length - 1].t - KEPT_MS) { samples.shift(); }
    show();
  }

  function ask() {
    var last = samples.length ? samples[samples.length - 1].t : 0;
    return fetch(page.url + "?after=" + last, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(8000) })
      .then(function (answer) {
        if (!answer.ok) { throw new Error(String(answer.status)); }
        return answer.json();
      })
      .then(take)
      .catch(function () { notice(words.lost); });
  }

  function keepAsking() {
    var wait = isPaused || document.hidden ? Promise.resolve() : ask();
    wait.then(function () { setTimeout(keepAsking, EVERY_MS); });
  }

  element("im-pause").addEventListener("click", function (event) {
    isPaused = !isPaused;
    event.target.setAttribute("aria-pressed", String(isPaused));
  });
  document.querySelectorAll(".im-plots details").forEach(function (each) { each.addEventListener("toggle", show); });
  window.addEventListener("resize", show);
  keepAsking();
})();
