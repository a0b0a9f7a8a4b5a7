/** What this machine is called in its own network, by its own files: no resolver is asked, which could say anything. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/**
 * @param name as the system gives it, short or in full
 * @param hosts text of /etc/hosts
 * @param resolver text of /etc/resolv.conf
 */
export function machineNamesFrom(name: string, hosts: string, resolver: string): string[] {
  const words = (text: string): string[][] =>
    text.split('\n').map((line) =>
      line
        .replace(/[#;].*/, '')
        .trim()
        .split(/\s+/),
    );
  const domains = words(resolver).flatMap(([key, ...values]) => (key === 'search' || key === 'domain' ? values : []));
  const aliases = words(hosts).flatMap(([, ...names]) => (names.includes(name) ? names : []));
  const inFull = name.includes('.') ? [] : domains.map((domain) => `${name}.${domain}`);
  return [...new Set([name, ...aliases, ...inFull])];
}

/** {@link machineNamesFrom} of this machine. */
export function machineNames(): string[] {
  return machineNamesFrom(hostname(), textOf('/etc/hosts'), textOf('/etc/resolv.conf'));
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
