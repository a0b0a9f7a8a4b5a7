export type Device = 'cpu' | 'cuda';
export type Wheel = {
  readonly project: string;
  readonly version: string;
  readonly file: string;
  readonly sha256: string;
};
export declare const TENSORFLOW_VERSION: string;
export declare const DEVICES: readonly Device[];
export declare const BINDING_FILE: string;
export declare const STAMP_FILE: string;
export declare function wheelsFor(device: Device, arch: string): Wheel[];
export declare function bindingPackageDir(): string;
export declare function nodeApiHeadersDir(): string;
export declare function compileArguments(folders: { sourceDir: string; headersDir: string }): string[];
export declare function defaultCacheDir(env: Readonly<Record<string, string | undefined>>): string;
export declare function engineKey(options: { device: Device; arch?: string }): string;
export declare function engineDir(options: { device: Device; cacheDir: string }): string;
