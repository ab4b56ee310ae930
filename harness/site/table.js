// Makes the page's tables sort, filter, group, hide columns and copy. The tables are whole without it.
// Works on what stands in the page: a number's raw value in data-v, a framework in data-f, a class in data-c.
(function () {
  "use strict";

  var HOLE = "–";
  // Rows that stand on the screen at first: laying out thousands takes longer than a reader waits. Print has all.
  var AT_FIRST = 250;

  function make(name, properties, children) {
    var element = document.createElement(name);
    Object.keys(properties || {}).forEach(function (key) {
      if (key in element) { element[key] = properties[key]; } else { element.setAttribute(key, properties[key]); }
    });
    (children || []).forEach(function (child) { element.append(child); });
    return element;
  }

  function text(cell) { return cell.textContent.trim(); }

  // What a cell is sorted by: a number, a text, or null for a hole.
  function key(cell) {
    if (cell === undefined) { return null; }
    var raw = cell.getAttribute("data-v");
    if (raw !== null) { return Number(raw); }
    var words = text(cell);
    return words === HOLE || words === "" ? null : words.toLowerCase();
  }

  var collator = new Intl.Collator("en", { numeric: true });

  function compare(a, b, sign) {
    if (a === null || b === null) { return a === b ? 0 : a === null ? 1 : -1; }
    if (typeof a === "number" && typeof b === "number") { return sign * (a - b); }
    if (typeof a === "number") { return -1; }
    if (typeof b === "number") { return 1; }
    return sign * collator.compare(a, b);
  }

  // A spreadsheet takes these beginnings for formulas.
  function csvField(words) {
    var safe = /^[=+\-@\t\r\n'＝＋－＠]/.test(words) && !/^-?[\d.]+(e[+-]?\d+)?$/i.test(words) ? "'" + words : words;
    return /[",\n\r]/.test(safe) ? '"' + safe.replace(/"/g, '""') + '"' : safe;
  }

  function markdownField(words) {
    return words.replace(/\s+/g, " ").replace(/([\\`*_{}\[\]<>#|~&$])/g, "\\$1");
  }

  function Table(section, number) {
    this.section = section;
    this.table = section.querySelector("table");
    this.head = this.table.tHead.rows[0];
    this.bodies = Array.from(this.table.tBodies);
    this.hidden = new Set();
    this.most = AT_FIRST;
    this.grouped = true;
    this.number = number;
    this.titles = Array.from(this.head.cells, text);
    this.entries = [];
    var entries = this.entries;
    this.bodies.forEach(function (body, home) {
      Array.from(body.rows).forEach(function (row) {
        if (row.className === "g") { return; }
        entries.push({ row: row, home: home, apart: body.className === "u", at: entries.length, keys: {}, words: null });
      });
    });
    this.order = entries.slice();
    this.tools();
    this.sorters();
    this.place();
  }

  Table.prototype.shown = function () { return this.order.filter(function (one) { return !one.row.hidden; }); };

  Table.prototype.say = function (words) { this.told.textContent = words; };

  Table.prototype.tools = function () {
    var self = this;
    if (this.entries.length < 2) { this.told = make("p", { className: "told" }); return; }
    var id = "t" + this.number;
    this.search = make("input", { type: "search", id: id + "q" });
    var parts = [make("label", { htmlFor: id + "q" }, ["Filter rows", this.search])];
    this.framework = this.choice("Framework", "data-f", parts);
    this.group = this.choice("Precision class", "data-c", parts);
    var groups = this.bodies.filter(function (body) { return body.className !== "u"; });
    if (groups.length > 1) {
      this.tick = make("input", { type: "checkbox", checked: true });
      this.tick.addEventListener("change", function () { self.grouped = self.tick.checked; self.place(); self.count(); });
      parts.push(make("label", { className: "tick" }, [this.tick, "group by precision class"]));
    }
    parts.push(this.columns());
    [["Copy as Markdown", "markdown"], ["Copy as CSV", "csv"]].forEach(function (one) {
      var button = make("button", { type: "button" }, [one[0]]);
      button.addEventListener("click", function () { self.copy(one[1]); });
      parts.push(button);
    });
    this.told = make("p", { className: "told", role: "status" });
    this.section.prepend(make("div", { className: "tools" }, parts), this.told);
    this.all = make("button", { type: "button" });
    this.rest = make("p", { className: "tools", hidden: true }, [this.all]);
    this.section.append(this.rest);
    this.all.addEventListener("click", function () { self.most = Infinity; self.place(); self.count(); self.search.focus(); });
    this.search.addEventListener("input", function () { self.filter(); });
  };

  Table.prototype.choice = function (label, attribute, parts) {
    var self = this;
    var values = new Set();
    this.entries.forEach(function (one) {
      var value = one.row.getAttribute(attribute);
      if (value !== null) { values.add(value); }
    });
    if (values.size < 2) { return null; }
    var select = make("select", {}, [make("option", { value: "" }, ["all"])]);
    values.forEach(function (value) { select.append(make("option", { value: "=" + value }, [value])); });
    select.addEventListener("change", function () { self.filter(); });
    parts.push(make("label", {}, [label, select]));
    return select;
  };

  Table.prototype.columns = function () {
    var self = this;
    var list = make("fieldset", {}, [make("legend", {}, ["Shown columns"])]);
    this.titles.forEach(function (title, at) {
      if (at === 0) { return; }
      var box = make("input", { type: "checkbox", checked: true });
      box.addEventListener("change", function () { self.hide(at, !box.checked); });
      list.append(make("label", { className: "tick" }, [box, title]));
    });
    return make("details", {}, [make("summary", {}, ["Columns"]), list]);
  };

  Table.prototype.hide = function (at, gone) {
    if (gone) { this.hidden.add(at); } else { this.hidden.delete(at); }
    this.head.cells[at].hidden = gone;
    this.entries.forEach(function (one) { if (one.row.cells[at]) { one.row.cells[at].hidden = gone; } });
  };

  Table.prototype.sorters = function () {
    var self = this;
    if (this.entries.length < 2) { return; }
    Array.from(this.head.cells).forEach(function (cell, at) {
      var button = make("button", { type: "button" }, [self.titles[at]]);
      cell.replaceChildren(button);
      button.addEventListener("click", function () { self.sort(at); });
    });
  };

  // Figures begin with the largest, words with the first; again: the other way round.
  Table.prototype.sort = function (at) {
    var cell = this.head.cells[at];
    this.entries.forEach(function (one) { if (!(at in one.keys)) { one.keys[at] = key(one.row.cells[at]); } });
    var figures = this.entries.some(function (one) { return typeof one.keys[at] === "number"; });
    var before = cell.getAttribute("aria-sort");
    var direction = before === null ? (figures ? "descending" : "ascending")
      : before === "ascending" ? "descending" : "ascending";
    Array.from(this.head.cells).forEach(function (each) { each.removeAttribute("aria-sort"); });
    cell.setAttribute("aria-sort", direction);
    var sign = direction === "ascending" ? 1 : -1;
    this.order = this.entries.slice().sort(function (a, b) {
      return compare(a.keys[at], b.keys[at], sign) || a.at - b.at;
    });
    this.place();
    this.say("Sorted by " + this.titles[at] + ", " + direction + ".");
  };

  // The part of the table in which a row stands. What is not ranked stays apart.
  Table.prototype.part = function (one) { return this.grouped || one.apart ? one.home : 0; };

  // Rows to their places: within their class, or all that are ranked together. Only the first of them stand on the
  // screen, and only these are moved, unless every row is wanted: moving and laying out thousands takes too long.
  Table.prototype.place = function (every) {
    if (this.entries.length < 2) { return; }
    var self = this;
    var parts = this.bodies.map(function () { return document.createDocumentFragment(); });
    var left = this.most, more = 0;
    this.bodies.forEach(function (body, at) {
      self.order.forEach(function (one) {
        if (self.part(one) !== at) { return; }
        var gone = !one.row.hidden && left <= 0;
        if (!one.row.hidden) { left -= 1; }
        if (gone) { more += 1; }
        if (one.row.classList.contains("more") !== gone) { one.row.classList.toggle("more", gone); }
        if (every || !(gone || one.row.hidden)) { parts[at].append(one.row); }
      });
    });
    this.bodies.forEach(function (body, at) {
      var heading = body.rows[0] && body.rows[0].className === "g" ? body.rows[0] : null;
      if (heading) { heading.after(parts[at]); } else { body.prepend(parts[at]); }
    });
    this.rest.hidden = more === 0;
    this.all.textContent = "Show " + more + " more rows";
    this.headings();
  };

  Table.prototype.headings = function () {
    var self = this;
    this.bodies.forEach(function (body) {
      var heading = body.rows[0] && body.rows[0].className === "g" ? body.rows[0] : null;
      if (heading === null) { return; }
      var some = Array.from(body.rows).some(function (row) {
        return row !== heading && !row.hidden && !row.classList.contains("more");
      });
      heading.hidden = !some || (!self.grouped && body.className !== "u");
    });
  };

  Table.prototype.filter = function () {
    var words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    var framework = this.framework ? this.framework.value : "";
    var group = this.group ? this.group.value : "";
    this.entries.forEach(function (one) {
      if (one.words === null) { one.words = one.row.textContent.toLowerCase(); }
      one.row.hidden = !words.every(function (word) { return one.words.includes(word); })
        || (framework !== "" && "=" + one.row.getAttribute("data-f") !== framework)
        || (group !== "" && "=" + one.row.getAttribute("data-c") !== group);
    });
    this.place();
    this.count();
  };

  Table.prototype.count = function () {
    this.say(this.shown().length + " of " + this.entries.length + " rows shown.");
  };

  // The rows as they are shown, for another program; in CSV figures are raw, in their base unit.
  Table.prototype.as = function (format) {
    var self = this;
    var at = this.titles.map(function (_, place) { return place; }).filter(function (place) { return !self.hidden.has(place); });
    var rows = [].concat.apply([], this.bodies.map(function (_, part) {
      return self.order.filter(function (one) { return self.part(one) === part && !one.row.hidden; });
    })).map(function (one) { return one.row; });
    var titles = at.map(function (place) { return self.titles[place]; });
    if (format === "csv") {
      var heads = at.map(function (place, column) {
        var unit = self.head.cells[place].getAttribute("data-u");
        return titles[column] + (unit ? " (" + unit + ")" : "");
      });
      return [heads.map(csvField)].concat(rows.map(function (row) {
        return at.map(function (place) {
          var cell = row.cells[place];
          var raw = cell.getAttribute("data-v");
          var words = text(cell);
          return csvField(raw !== null ? raw : words === HOLE ? "" : words);
        });
      })).map(function (line) { return line.join(","); }).join("\r\n") + "\r\n";
    }
    var numbers = at.map(function (place) { return self.head.cells[place].classList.contains("n"); });
    return [titles.map(markdownField), numbers.map(function (one) { return one ? "---:" : "---"; })]
      .concat(rows.map(function (row) { return at.map(function (place) { return markdownField(text(row.cells[place])); }); }))
      .map(function (line) { return "| " + line.join(" | ") + " |"; }).join("\n") + "\n";
  };

  Table.prototype.copy = function (format) {
    var self = this;
    var words = this.as(format);
    var name = format === "csv" ? "CSV" : "Markdown";
    function done() { self.say(self.shown().length + " rows copied as " + name + "."); }
    // A page that was opened from a file may not have the clipboard's own interface.
    function byHand() {
      var area = make("textarea", { value: words, "aria-label": "The table as " + name });
      self.section.append(area);
      area.select();
      var copied = document.execCommand("copy");
      area.remove();
      if (copied) { done(); } else { self.say("This browser does not let the page copy."); }
    }
    if (navigator.clipboard && window.isSecureContext) {
      navigator.clipboard.writeText(words).then(done, byHand);
    } else { byHand(); }
  };

  var tables = Array.from(document.querySelectorAll("[data-table]"), function (section, number) {
    return new Table(section, number);
  });
  window.addEventListener("beforeprint", function () { tables.forEach(function (one) { one.place(true); }); });
})();
