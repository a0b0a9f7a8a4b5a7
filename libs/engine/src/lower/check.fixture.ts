/** Whether a plan of memory keeps what it promises, cell by cell. */
import assert from 'node:assert/strict';
import { accessOf, type Region } from '#src/lower/instructions.js';
import type { Buffer } from '#src/lower/draft.js';
import type { Placed } from '#src/lower/place.js';
import { cellsOf, type Storage } from '#src/lower/values.js';

/**
 * Walks through the instructions and notes for each cell whose it is. Throws unless each instruction reads only cells that hold what
 * was written for it: neither nothing, nor what another value left there meanwhile.
 */
export function checkPlacement({ steps, buffers, starts, arena }: Placed): void {
  type Memory = 'arena' | Storage;
  const owners = new Map<Memory, (Storage | undefined)[]>();
  const memoryOf = (storage: Storage): Memory => (storage.kind === 'arena' ? 'arena' : storage);
  const ownersOf = (storage: Storage): (Storage | undefined)[] => {
    const memory = memoryOf(storage);
    const known = owners.get(memory) ?? new Array<Storage | undefined>(memory === 'arena' ? arena : storage.size);
    owners.set(memory, known);
    return known;
  };
  const placesOf = ({ storage, offset }: Buffer, region: Region): number[] => {
    const start = storage.kind === 'arena' ? (starts.get(storage) ?? NaN) : 0;
    const places = [...cellsOf({ ...region, offset: start + offset })];
    assert.ok(
      places.every((place) => place >= start && place < start + storage.size),
      'a cell outside its storage',
    );
    return places;
  };
  steps.forEach(({ name, operands }, position) => {
    const { reads, writes, inPlace } = accessOf({ name, operands });
    const label = `instruction ${position}, ${name}`;
    const read = reads.map((region) => {
      const buffer = buffers[operands[region.operand]];
      return { storage: buffer.storage, places: placesOf(buffer, region) };
    });
    for (const { storage, places } of read) {
      if (storage.kind === 'input' || storage.kind === 'constant') continue;
      const of = ownersOf(storage);
      assert.ok(
        places.every((place) => of[place] === storage),
        `${label} reads what is not there`,
      );
    }
    for (const region of writes) {
      const buffer = buffers[operands[region.operand]];
      const { storage } = buffer;
      assert.ok(storage.kind === 'arena' || storage.kind === 'output', `${label} writes to what is given`);
      const places = placesOf(buffer, region);
      const written = new Set(places);
      assert.equal(written.size, places.length, `${label} writes a cell twice`);
      for (const one of read) {
        if (memoryOf(one.storage) !== memoryOf(storage)) continue;
        const same = one.places.length === places.length && one.places.every((place, index) => place === places[index]);
        assert.ok(
          (inPlace && same) || !one.places.some((place) => written.has(place)),
          `${label} writes over what it reads`,
        );
      }
      const of = ownersOf(storage);
      for (const place of places) of[place] = storage;
    }
  });
}
