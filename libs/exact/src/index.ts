export { fingerprintChecksum, fingerprintDigest, fingerprintOf, FINGERPRINT_SUMS } from './fingerprint.js';
export * from './fixedpoint.js';
export * from './narrow.js';
export * from './wire-type.js';
export { AddKernel, copyBytes } from './add-kernel.js';
export { FixedPointError } from './errors.js';
