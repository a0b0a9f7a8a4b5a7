/** Attributes of TensorFlow ops as they are written by hand in this library: one constructor a kind. */
import { AttrType, DataType, type OpAttribute } from '../device/binding.js';

export type Attribute =
  | { readonly kind: 'type'; readonly value: keyof typeof DataType }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'int'; readonly value: number | readonly number[] }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'shape'; readonly value: readonly number[] };

/** Attributes of one op, by name, as the op's definition in TensorFlow calls them. */
export type Attributes = Readonly<Record<string, Attribute>>;

export const FLOAT: Attribute = { kind: 'type', value: 'float32' };
export const INT: Attribute = { kind: 'type', value: 'int32' };
export const bool = (value: boolean): Attribute => ({ kind: 'bool', value });
export const int = (value: number | readonly number[]): Attribute => ({ kind: 'int', value });
export const float = (value: number): Attribute => ({ kind: 'float', value });
export const string = (value: string): Attribute => ({ kind: 'string', value });
export const shape = (value: readonly number[]): Attribute => ({ kind: 'shape', value });

/** The binding's form of `attributes`, in the order written. */
export function toOpAttributes(attributes: Attributes): OpAttribute[] {
  return Object.entries(attributes).map(([name, attribute]) => {
    const value = attribute.kind === 'type' ? DataType[attribute.value] : attribute.value;
    return { name, type: AttrType[attribute.kind], value };
  });
}
