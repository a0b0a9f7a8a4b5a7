/** Whether a folder lies on a file system of this machine alone. */
import { statfs } from 'node:fs/promises';

/**
 * By the magic numbers of statfs(2), which Linux' linux/magic.h and the file systems' own headers give. What is not here is not
 * believed to be local: network and cluster file systems, FUSE and 9p, behind which may be either, and whatever comes later.
 */
const LOCAL: ReadonlyMap<number, string> = new Map([
  [0xef53, 'ext2, ext3, ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0xf2f52010, 'f2fs'],
  [0x2fc12fc1, 'zfs'],
  [0xca451a4e, 'bcachefs'],
  [0x3153464a, 'jfs'],
  [0x52654973, 'reiserfs'],
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
  [0x794c7630, 'overlayfs'],
  [0x4d44, 'vfat'],
  [0x2011bab0, 'exfat'],
]);

/** False also where the system does not say. */
export async function isLocalFolder(path: string): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  const { type } = await statfs(path);
  // A signed word on some architectures.
  return isLocalKind(type >>> 0);
}

/** @param type as statfs(2) gives it, as an unsigned number */
export function isLocalKind(type: number): boolean {
  return LOCAL.has(type);
}
