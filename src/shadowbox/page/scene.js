/**
 * Evaluates a scene (shapes bound to fields) for one row, exactly as core/scenes/grammar.py does, which
 * explains the grammar.
 *
 * @typedef {import("./rows.js").Columns} Columns
 * @typedef {{frame: number, kind: number, player: number, other: number}} EventSubject
 * @typedef {EventSubject & {what: number, value: number}} Event
 * @typedef {{shape: string, x: number, y: number, tag?: string, alpha?: number}} BaseShape
 * @typedef {BaseShape & Record<string, any>} Shape
 */

const LOOPS = new Set(["shape", "each", "for", "on", "if"]);

/**
 * The shapes of one row.
 * @param {any} scene
 * @param {Columns} columns
 * @param {Event[]} events  those of the row
 * @returns {Shape[]}
 */
export function evaluate(scene, columns, events = []) {
  return keyed(scene, columns, events).map(([, shape]) => shape);
}

/**
 * Shapes with keys that are the same in other rows: number of the shape, slot, turn of its loop.
 * @param {(shape: any) => boolean} [wanted]
 * @returns {[string, Shape, number][]}  key, shape, slot
 */
export function keyed(scene, columns, events = [], wanted = () => true) {
  const out = [];
  scene.shapes.forEach((shape, number) => {
    if (!wanted(shape)) return;
    const base = { scene, columns, slot: 0, item: null, event: null };
    scopes(shape, base, events).forEach((scope, turn) => {
      if ("if" in shape && !holds(value(shape.if, scope))) return;
      const drawn = { shape: shape.shape };
      for (const name of Object.keys(shape))
        if (!LOOPS.has(name)) drawn[name] = value(shape[name], scope);
      out.push([`${number} ${scope.slot} ${turn}`, drawn, scope.slot]);
    });
  });
  return out;
}

/** A value of the grammar for a slot of a row. */
export function valueOf(scene, columns, given, slot = 0) {
  return value(given, { scene, columns, slot, item: null, event: null });
}

/** The scopes in which a shape is drawn: one for each slot or event and each element of `for`. */
function scopes(shape, scope, events) {
  let base = [scope];
  if ("each" in shape) {
    const key = Object.keys(scope.columns).find((name) => name.startsWith(shape.each + "/"));
    base = scope.columns[key].map((_, slot) => ({ ...scope, slot }));
  } else if ("on" in shape) {
    const kind = scope.scene.event_kinds.indexOf(shape.on);
    base = events
      .filter((event) => event.kind === kind)
      .map((event) => ({
        ...scope,
        slot: Math.max(event.other >= 0 ? event.other : event.player, 0),
        event,
      }));
  }
  if (!("for" in shape)) return base;
  return base.flatMap((one) => value(shape.for, one).map((item) => ({ ...one, item })));
}

function value(given, scope) {
  if (Array.isArray(given)) return given.map((part) => value(part, scope));
  if (typeof given !== "object") return given;
  if ("field" in given) {
    const slots = scope.columns[given.field];
    const slot = Math.max(Math.trunc(Number(value(given.slot ?? scope.slot, scope))), 0);
    return slots[slot === scope.slot ? Math.min(slot, slots.length - 1) : slot];
  }
  if ("slot" in given) return scope.slot;
  if ("item" in given) return scope.item[given.item];
  if ("event" in given) return scope.event[given.event];
  if ("sum" in given)
    return given.sum.reduce((total, part) => total + Number(value(part, scope)), 0);
  if ("product" in given)
    return given.product.reduce((total, part) => total * Number(value(part, scope)), 1);
  if ("min" in given) return Math.min(...given.min.map((part) => Number(value(part, scope))));
  if ("max" in given) return Math.max(...given.max.map((part) => Number(value(part, scope))));
  return given.at.reduce(
    (list, index) => list.at(Math.min(Math.trunc(Number(value(index, scope))), list.length - 1)),
    scope.scene.tables[given.table],
  );
}

/** Truth as in Python: neither 0, nor false, nor an empty list or string. */
function holds(condition) {
  if (Array.isArray(condition)) return condition.length > 0;
  return condition !== 0 && condition !== false && condition !== "";
}
