"use strict";
/* Describe the plots of the operations page: the series of each, taken out of a sample. */

var imPlots = (function () {
  var DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [4, 4], [12, 6], [1, 4], [6, 2], [3, 6], [9, 9]];
  var COLOURS = ["#1f6f8b", "#b3541e", "#5b3f9b", "#2e7d32", "#9c2c77", "#6b6b00", "#00695c", "#8d1b1b", "#37474f", "#3949ab"];

  function milliseconds(seconds) {
    return seconds === null || seconds === undefined ? null : seconds * 1000;
  }

  function known(value) {
    return value === undefined ? null : value;
  }

  function away(sample, backend) {
    var sum = 0;
    Object.values(sample.breakers).forEach(function (backends) {
      var states = backends[backend] || {};
      sum += (states.open || 0) + (states["half-open"] || 0);
    });
    return sum;
  }

  function partitions(samples) {
    var names = new Set();
    samples.forEach(function (sample) {
      Object.keys(sample.lag).forEach(function (name) { names.add(name); });
    });
    return Array.from(names).sort(function (a, b) { return a - b; });
  }

  /* Return the series of every plot: a label, a unit, and a function of a sample. */
  function describe(words, samples) {
    var ms = words.milliseconds, s = words.seconds;
    return {
      sends: ["log", "cache", "store"].map(function (name) {
        return { label: words[name], unit: "", of: function (x) { return known(x.sends[name]); } };
      }),
      answers: [
        { label: words.median, unit: ms, of: function (x) { return milliseconds(x.sendP50); } },
        { label: words.p99, unit: ms, of: function (x) { return milliseconds(x.sendP99); } },
      ],
      lag: [
        { label: words.median, unit: s, of: function (x) { return known(x.persistP50); } },
        { label: words.p99, unit: s, of: function (x) { return known(x.persistP99); } },
      ],
      pending: [
        { label: words.pending, unit: "", of: function (x) { return known(x.pending); } },
        { label: words.oldest, unit: s, of: function (x) { return known(x.pendingOldest); }, scale: "s" },
      ],
      log: partitions(samples).map(function (name) {
        return { label: name, unit: s, of: function (x) { return known(x.lag[name]); } };
      }),
      breakers: ["cache", "log", "store"].map(function (name) {
        return { label: words[name], unit: "", of: function (x) { return away(x, name); }, stepped: true };
      }),
      letters: [
        { label: words.open, unit: "", of: function (x) { return known(x.lettersOpen); } },
        { label: words.unaccounted, unit: "", of: function (x) { return known(x.unaccounted); } },
      ],
    };
  }

  function text(value, unit) {
    if (value === null) { return "–"; }
    var digits = value !== 0 && Math.abs(value) < 10 ? 2 : 0;
    return value.toLocaleString(document.documentElement.lang, { maximumFractionDigits: digits }) + (unit ? " " + unit : "");
  }

  function data(series, samples) {
    var columns = [samples.map(function (sample) { return sample.t / 1000; })];
    series.forEach(function (each) { columns.push(samples.map(each.of)); });
    return columns;
  }

  /* Draw one plot into a box; lines differ by their dashes as well as by their colours. */
  function draw(box, series, samples) {
    var style = getComputedStyle(document.body), ink = style.color, grid = style.getPropertyValue("--hairline-color");
    var axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid } };
    var time = Object.assign({ space: 72, values: function (_, splits) { return splits.map(clock); } }, axis);
    var second = series.filter(function (each) { return each.scale; });
    function valueAxis(unit, more) {
      return Object.assign({ size: 80, values: function (_, splits) { return splits.map(function (v) { return text(v, unit); }); } }, axis, more);
    }
    var options = {
      width: box.clientWidth, height: 170,
      scales: { y: { range: fromZero }, s: { range: fromZero } },
      axes: [time, valueAxis(series.length ? series[0].unit : "")].concat(second.map(function (each) { return valueAxis(each.unit, { scale: each.scale, side: 1, grid: { show: false } }); })),
      series: [{ label: imPlots.words.time, value: function (_, v) { return v ? clock(v) : "–"; } }].concat(series.map(function (each, at) {
        return {
          label: each.label, stroke: COLOURS[at % COLOURS.length], dash: DASHES[at % DASHES.length], width: 2, scale: each.scale || "y",
          points: { show: false },
          paths: each.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
          value: function (_, v) { return text(v === undefined ? null : v, each.unit); },
        };
      })),
      tzDate: function (seconds) { return uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"); },
    };
    var columns = data(series, samples), plot = new uPlot(options, columns, box);
    update(plot, columns);
    return plot;
  }

  function clock(seconds) {
    return new Date(seconds * 1000).toISOString().slice(11, 19);
  }

  /* The legend shows the newest values, unless the pointer asks for others. uPlot empties the legend in
     a microtask of its own after new data, so the values are set after that one. */
  function update(plot, columns) {
    plot.setData(columns);
    queueMicrotask(function () {
      if (plot.cursor.idx === null || plot.cursor.idx === undefined) { plot.setLegend({ idx: columns[0].length - 1 }); }
    });
  }

  function fromZero(_, _least, most) {
    return [0, most === null || most <= 0 ? 1 : most * 1.1];
  }

  return { describe: describe, draw: draw, update: update, data: data, text: text, clock: clock, words: {} };
})();
