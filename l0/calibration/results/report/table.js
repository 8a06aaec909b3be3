"use strict";
// Tables that sort, and tables of many rows that are searched, filtered, paged and downloaded.

// Numbers are written as `l0.common.formatting` writes them.
const write = (() => {
  const trim = (text) => text.includes(".") ? text.replace(/\.?0+$/, "") : text;
  const grouped = (text) => text.replace(/^\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));
  // Python's `g`: so many digits, without zeros at the end.
  const general = (size, digits) => {
    const [lead, power] = size.toExponential(digits - 1).split("e");
    if (size === 0 || (power >= -4 && power < digits)) {
      return trim(size.toFixed(Math.max(0, digits - 1 - power)));
    }
    return `${trim(lead)}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  };
  const amount = (number) => {
    const size = Math.abs(number), sign = number < 0 ? "−" : "";
    for (const [start, unit, word] of [[0.99995e12, 1e12, "trillion"], [0.99995e9, 1e9, "billion"], [1e7, 1e6, "million"]]) {
      if (size >= start) return `${sign}${grouped(general(size / unit, 4))} ${word}`;
    }
    return sign + (size >= 999.95 ? grouped(size.toFixed(0)) : general(size, 4));
  };
  const percent = (share) => {
    if (share === 0) return "0%";
    if (share < 0.999999e-5) return "<0.001%";
    if (share >= 0.9995 && share < 1) return ">99.9%";
    return `${share < 1 ? general(share * 100, 3) : grouped((share * 100).toFixed(0))}%`;
  };
  const signed = (share) => {
    const size = percent(Math.abs(share));
    return share === 0 || !/^\d/.test(size) ? size : (share < 0 ? "−" : "+") + size;
  };
  const price = (number) => (number < 0 ? "−" : "+") + general(Math.abs(number), 2);
  return {amount, percent, signed, price};
})();

// A level, or words where there is nothing to see, as on the tiles.
const titled = (level) => level === "" ? "(none)" : /[^\p{C}\p{Z}]/u.test(level) ? level : "(blank)";

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// Heads become buttons, and tell their order to a screen reader.
function sortable(table, sort) {
  for (const head of table.tHead.querySelectorAll("th")) {
    const button = make("button", {type: "button"});
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(head));
  }
}

function showOrder(table, head, down) {
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  if (head) head.setAttribute("aria-sort", down ? "descending" : "ascending");
}

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const worth = (row, i) => {
    const cell = row.cells[i];
    return cell.dataset.v === undefined ? cell.textContent : +cell.dataset.v;
  };
  sortable(table, (head) => {
    const i = head.cellIndex, down = head.getAttribute("aria-sort") !== "descending", turn = down ? -1 : 1;
    showOrder(table, head, down);
    body.append(...[...body.rows].sort((a, b) => {
      const x = worth(a, i), y = worth(b, i);
      return turn * (typeof x === "number" ? x - y : x.localeCompare(y));
    }));
  });
}

// A table whose rows are JSON: see table.py for its form. Only a page of rows is in the document.
class DataTable {
  constructor(box) {
    this.box = box;
    this.table = box.querySelector("table");
    const data = JSON.parse(document.getElementById(box.dataset.source).textContent);
    Object.assign(this, data);  // n, things, file, order: [key, down], columns
    this.column = new Map(this.columns.map((column) => [column.key, column]));
    this.filters = new Map();
    this.words = [];
    this.page = 0;
    this.size = data.size;
    this.ranks = new Map();
    this.addTools();
    this.addPager();
    sortable(this.table, (head) => {
      const key = head.dataset.key, [before, down] = this.order;
      this.sort(key, key === before ? !down : this.isNumber(key));
    });
    box.querySelector(".count").removeAttribute("hidden");
    box.dataTable = this;
    this.sort(...this.order);
  }

  isNumber(key) { return !["text", "choice", "marks"].includes(this.column.get(key).kind); }

  // The text of a cell, and what the file has of it.
  text(column, row) {
    switch (column.kind) {
      case "text": return column.values[row];
      case "choice": return column.levels[column.values[row]];
      case "marks": return column.levels.filter((_, place) => column.values[row] >> place & 1).join("; ");
    }
    if (column.texts && row in column.texts) return column.texts[row][0];
    const value = column.values[row];
    return value === null ? column.empty : write[column.kind](value);
  }

  raw(column, row) {
    if (!this.isNumber(column.key)) return this.text(column, row);
    return column.values[row] ?? "";
  }

  // Numbers by which the rows are sorted. Errors count by their size.
  ranksOf(key) {
    if (this.ranks.has(key)) return this.ranks.get(key);
    const {kind, values, levels, texts} = this.column.get(key);
    let ranks;
    if (kind === "text" || kind === "choice") {
      const names = kind === "text" ? values : levels, compare = new Intl.Collator("en", {numeric: true}).compare;
      const rank = new Float64Array(names.length);
      [...names.keys()].sort((a, b) => compare(names[a], names[b])).forEach((place, at) => { rank[place] = at; });
      ranks = kind === "text" ? rank : Float64Array.from(values, (code) => rank[code]);
    } else {
      const size = kind === "signed" ? Math.abs : Number;
      ranks = Float64Array.from(values, (value, row) => {
        if (texts && row in texts) return texts[row][1];
        return value === null ? NaN : size(value);
      });
    }
    this.ranks.set(key, ranks);
    return ranks;
  }

  sort(key, down) {
    this.order = [key, down];
    const ranks = this.ranksOf(key), turn = down ? -1 : 1;
    const missing = (row) => Number.isNaN(ranks[row]) ? 1 : 0;  // last, in either order
    this.sorted = Uint32Array.from({length: this.n}, (_, row) => row)
      .sort((a, b) => missing(a) - missing(b) || (missing(a) ? 0 : turn * (ranks[a] - ranks[b])) || a - b);
    showOrder(this.table, this.table.tHead.querySelector(`[data-key="${CSS.escape(key)}"]`), down);
    if (this.orderBox) this.orderBox.value = JSON.stringify(this.order);
    this.update();
  }

  filter(key, level) {
    if (level === null) this.filters.delete(key);
    else this.filters.set(key, level);
    this.selects.get(key).value = level ?? "";
    this.update();
  }

  matches(row) {
    for (const [key, level] of this.filters) {
      const {kind, values} = this.column.get(key);
      if (kind === "marks" ? !(values[row] >> level & 1) : values[row] !== level) return false;
    }
    return this.words.every((word) => this.haystack[row].includes(word));
  }

  update() {
    if (this.words.length && !this.haystack) {
      const searched = this.columns.filter((column) => column.kind !== "change" && !this.isNumber(column.key));
      this.haystack = Array.from({length: this.n}, (_, row) =>
        searched.map((column) => this.text(column, row)).join("\n").toLowerCase());
    }
    this.shown = this.sorted.filter((row) => this.matches(row));
    this.page = 0;
    for (const listener of this.box.listeners ?? []) listener(this);
    this.draw();
  }

  draw() {
    const start = this.page * this.size, stop = Math.min(start + this.size, this.shown.length);
    this.table.tBodies[0].replaceChildren(...[...this.shown.subarray(start, stop)].map((row) => this.row(row)));
    const count = (number) => number.toLocaleString("en");
    const of = this.shown.length < this.n ? ` (of ${count(this.n)})` : "";
    this.box.querySelector(".count").textContent = this.shown.length
      ? `${count(start + 1)} to ${count(stop)} of ${count(this.shown.length)} ${this.things}${of}`
      : `None of the ${count(this.n)} ${this.things} matches`;
    const pages = Math.max(1, Math.ceil(this.shown.length / this.size));
    this.place.textContent = `Page ${count(this.page + 1)} of ${count(pages)}`;
    this.previous.disabled = this.page === 0;
    this.next.disabled = this.page + 1 >= pages;
    this.clear.disabled = !this.words.length && !this.filters.size;
  }

  row(row) {
    const line = make("tr", {role: "row"});
    for (const column of this.columns) {
      if (column.place === "head") {
        const head = make("th", {scope: "row", role: "rowheader"}, this.text(column, row));
        for (const under of this.columns.filter((other) => other.place === "under")) this.addUnder(head, under, row);
        line.append(head);
      } else if (column.place === "cell") {
        const cell = make("td", {role: "cell", "data-label": column.title});
        if (column.kind === "change") cell.innerHTML = this.change(column, row);
        else cell.append(this.text(column, row));
        if (this.isNumber(column.key) && column.kind !== "change") cell.className = "n";
        line.append(cell);
      }
    }
    return line;
  }

  addUnder(head, column, row) {
    const text = this.text(column, row);
    if (!text) return;
    head.append(make("br"));
    if (column.kind === "marks") head.append(...text.split("; ").map((mark) => make("span", {className: "flag"}, mark)));
    else head.append(make("span", {className: "under"}, text));
  }

  // A hollow dot before and a full one after, as `charts.change` draws them.
  change({of}, row) {
    const [a, b] = of.map((key) => 6 + 88 * Math.min(1, Math.abs(this.column.get(key).values[row] ?? 1)));
    return `<svg class="change" viewBox="0 0 100 16" width="100" height="16" aria-hidden="true">
      <line x1="6" x2="94" y1="8" y2="8" class="grid"/><line x1="${a}" x2="${b}" y1="8" y2="8" class="link"/>
      <circle cx="${a}" cy="8" r="4" class="dot before"/><circle cx="${b}" cy="8" r="4" class="dot after"/></svg>`;
  }

  addTools() {
    const tools = this.box.querySelector(".tools");
    const search = make("input", {type: "search", autocomplete: "off", spellcheck: false});
    search.addEventListener("input", () => {
      this.words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      this.update();
    });
    tools.append(make("label", {className: "search"}, `Search ${this.things}`, search));
    this.selects = new Map();
    for (const column of this.columns.filter((each) => each.filter)) {
      const select = make("select", {}, make("option", {value: ""}, "All"));
      const isMarks = column.kind === "marks", counts = new Uint32Array(column.levels.length);
      for (const value of column.values) {
        if (!isMarks) counts[value] += 1;
        else counts.forEach((_, place) => { counts[place] += value >> place & 1; });
      }
      column.levels.forEach((level, place) => {
        if (counts[place]) select.append(make("option", {value: place}, `${titled(level)} (${counts[place].toLocaleString("en")})`));
      });
      select.addEventListener("change", () => this.filter(column.key, select.value === "" ? null : +select.value));
      this.selects.set(column.key, select);
      tools.append(make("label", {}, column.title, select));
    }
    this.orderBox = make("select");
    for (const column of this.columns.filter((each) => ["head", "cell"].includes(each.place) && each.kind !== "change")) {
      const [up, down] = this.isNumber(column.key) ? ["smallest", "largest"] : ["A to Z", "Z to A"];
      for (const [turn, title] of [[true, down], [false, up]]) {
        this.orderBox.append(make("option", {value: JSON.stringify([column.key, turn])}, `${column.title}, ${title} first`.replace(/(A to Z|Z to A) first/, "$1")));
      }
    }
    this.orderBox.addEventListener("change", () => this.sort(...JSON.parse(this.orderBox.value)));
    tools.append(make("label", {className: "order"}, "Order", this.orderBox));
    this.clear = make("button", {type: "button"}, "Show all");
    this.clear.addEventListener("click", () => {
      search.value = "";
      this.words = [];
      for (const key of [...this.filters.keys()]) this.selects.get(key).value = "";
      this.filters.clear();
      this.update();
      search.focus();
    });
    const download = make("button", {type: "button", className: "download"}, "Download CSV");
    download.addEventListener("click", () => this.download());
    tools.append(this.clear, download);
    tools.hidden = false;
  }

  addPager() {
    const pager = this.box.querySelector(".pager");
    const turn = (title, step) => {
      const button = make("button", {type: "button"}, title);
      button.addEventListener("click", () => {
        this.page += step;
        this.draw();
      });
      return button;
    };
    this.previous = turn("Previous page", -1);
    this.next = turn("Next page", 1);
    this.place = make("span");
    const size = make("select", {}, ...[25, 50, 200, 1000].map((number) => make("option", {value: number}, number)));
    size.value = this.size;
    size.addEventListener("change", () => {
      this.size = +size.value;
      this.page = 0;
      this.draw();
    });
    pager.append(this.previous, this.place, this.next, make("label", {}, "Rows a page ", size));
    pager.hidden = false;
  }

  // The rows that are shown, in their order, with all columns.
  csv() {
    const columns = this.columns.filter((column) => column.kind !== "change");
    const quoted = (value) => /[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value;
    const lines = [columns.map((column) => quoted(column.key))];
    for (const row of this.shown) lines.push(columns.map((column) => quoted(this.raw(column, row))));
    return lines.map((line) => line.join(",")).join("\n") + "\n";
  }

  download() {
    const link = make("a", {download: this.file, href: URL.createObjectURL(new Blob([this.csv()], {type: "text/csv"}))});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
}

for (const box of document.querySelectorAll(".data-table")) new DataTable(box);

for (const words of document.querySelectorAll(".scripted")) words.hidden = false;

// A tile filters the table by its level.
for (const tiles of document.querySelectorAll(".tiles[data-table]")) {
  const box = document.getElementById(tiles.dataset.table), key = tiles.dataset.column;
  const table = box.dataTable, levels = table.column.get(key).levels;
  const buttons = [...tiles.children].map((tile) => {
    const level = levels.indexOf(tile.dataset.level);
    const button = make("button", {type: "button", "aria-pressed": "false"}, ...tile.firstElementChild.childNodes);
    tile.replaceChildren(button);
    button.addEventListener("click", () => {
      table.filter(key, table.filters.get(key) === level ? null : level);
      box.scrollIntoView({block: "nearest"});
    });
    return [button, level];
  });
  (box.listeners ??= []).push(() => {
    for (const [button, level] of buttons) button.setAttribute("aria-pressed", table.filters.get(key) === level);
  });
}
