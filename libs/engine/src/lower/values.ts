/**
 * Tensors while a graph is lowered. A value is a view: a shape over the cells of a storage, with a stride for each axis, so that
 * transposing, slicing and repeating cost nothing until a kernel needs its cells side by side.
 */

/** A truth value is an int32, 0 or 1. */
export type CellType = 'float32' | 'int32' | 'bool';

/** Memory that one or several instructions write, or that is there from the beginning. */
export type Storage =
  | { readonly kind: 'arena'; readonly size: number }
  | { readonly kind: 'constant'; readonly size: number; readonly cells: Int32Array }
  | { readonly kind: 'input' | 'output'; readonly size: number; readonly index: number };

export type Value = {
  readonly shape: readonly number[];
  readonly dtype: CellType;
  readonly storage: Storage;
  /** Of the first cell, in cells, as the strides. */
  readonly offset: number;
  readonly strides: readonly number[];
};

export type Constant = Value & { readonly storage: Extract<Storage, { kind: 'constant' }> };

export function denseStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

/** Whether the cells lie side by side, in row-major order. */
export function isDense({ shape, strides }: Pick<Value, 'shape' | 'strides'>): boolean {
  const dense = denseStrides(shape);
  return shape.every((size, axis) => size === 1 || strides[axis] === dense[axis]);
}

export function isConstant(value: Value): value is Constant {
  return value.storage.kind === 'constant';
}

/**
 * Fewest axes over which `views` can be walked in row-major order: axes of size 1 are left out, neighbours joined where the
 * outer stride is a whole round of the inner one in each view. At least one axis is left.
 */
export function mergeAxes(
  shape: readonly number[],
  views: readonly (readonly number[])[],
): { shape: number[]; strides: number[][] } {
  const merged: number[] = [];
  const strides: number[][] = views.map(() => []);
  shape.forEach((size, axis) => {
    if (size === 1) return;
    const last = merged.length - 1;
    if (last >= 0 && views.every((view, index) => strides[index][last] === view[axis] * size)) {
      merged[last] *= size;
      views.forEach((view, index) => (strides[index][last] = view[axis]));
      return;
    }
    merged.push(size);
    views.forEach((view, index) => strides[index].push(view[axis]));
  });
  if (merged.length === 0) return { shape: [1], strides: views.map(() => [1]) };
  return { shape: merged, strides };
}

/** The value seen with another shape of the same size, or null where that takes a copy. */
export function reshaped(value: Value, shape: readonly number[]): Value | null {
  if (isDense(value)) return { ...value, shape, strides: denseStrides(shape) };
  const {
    shape: sizes,
    strides: [steps],
  } = mergeAxes(value.shape, [value.strides]);
  const strides = new Array<number>(shape.length).fill(0);
  // Each axis of the merged view is cut into axes of the new shape, from the innermost on.
  let axis = shape.length - 1;
  for (let from = sizes.length - 1; from >= 0; from--) {
    let covered = 1;
    while (covered < sizes[from]) {
      while (axis >= 0 && shape[axis] === 1) axis--;
      if (axis < 0 || sizes[from] % (covered * shape[axis]) !== 0) return null;
      strides[axis] = steps[from] * covered;
      covered *= shape[axis];
      axis--;
    }
  }
  return { ...value, shape, strides };
}

/** The value repeated along new and single axes, as numpy broadcasts; null where the shapes do not go together. */
export function spread(value: Value, shape: readonly number[]): Value | null {
  const missing = shape.length - value.shape.length;
  if (missing < 0) return null;
  const strides: number[] = [];
  for (const [axis, size] of shape.entries()) {
    const own = axis < missing ? 1 : value.shape[axis - missing];
    if (own !== size && own !== 1) return null;
    strides.push(axis < missing || own === 1 ? 0 : value.strides[axis - missing]);
  }
  return { ...value, shape, strides };
}

/** The shape over which all of `shapes` can be spread, or null. */
export function commonShape(shapes: readonly (readonly number[])[]): number[] | null {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  const common = new Array<number>(rank).fill(1);
  for (const shape of shapes)
    for (const [index, size] of shape.entries()) {
      const axis = rank - shape.length + index;
      if (size === 1 || size === common[axis]) continue;
      if (common[axis] !== 1) return null;
      common[axis] = size;
    }
  return common;
}

/** Axes along which no view changes are left with one place; walking the rest is enough. */
export function withoutRepeats(shape: readonly number[], views: readonly (readonly number[])[]): number[] {
  return shape.map((size, axis) => (views.every((view) => view[axis] === 0) ? 1 : size));
}

/** The place in the storage of every cell of a view, in row-major order. */
export function* cellsOf({ shape, strides, offset }: Pick<Value, 'shape' | 'strides' | 'offset'>): Generator<number> {
  const at = new Array<number>(shape.length).fill(0);
  if (shape.includes(0)) return;
  let place = offset;
  for (;;) {
    yield place;
    let axis = shape.length - 1;
    for (; axis >= 0; axis--) {
      at[axis]++;
      place += strides[axis];
      if (at[axis] < shape[axis]) break;
      place -= strides[axis] * shape[axis];
      at[axis] = 0;
    }
    if (axis < 0) return;
  }
}
