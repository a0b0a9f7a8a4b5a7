import { hostListKey } from '../key.js';

/** Of `up`, a coordinator and a worker alike: each has a port. */
export const allowedHostsKey = hostListKey({
  doc: 'further names under which it is asked, as by a proxy: a request for another name is refused, as it may come from a web page; .example.org: all below it',
});
