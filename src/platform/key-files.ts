/**
 * Files of keys, in which near caches keep what they held: a line that says what the file is, and one key in base64 on
 * each further line. Written whole to a second file that then takes its place, so that a crash leaves the old one.
 */
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

const HEAD = 'elsegrid near cache keys 1';
/** A larger file is none of ours. */
const MAX_BYTES = 256 * 1024 * 1024;

export class KeyFiles {
  /** The keys of a file; none when there is no such file. Rejects with an Error that names what is wrong with it. */
  async read(path: string): Promise<Uint8Array[]> {
    const size = await stat(path).then(
      (found) => found.size,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return 0;
        throw error;
      },
    );
    if (size === 0) return [];
    if (size > MAX_BYTES)
      throw new Error(`${path} has ${size} bytes; a file of keys has ${MAX_BYTES} at the most`);
    const file = await open(path);
    try {
      const [head, ...lines] = (await file.readFile('utf8')).split('\n');
      if (head !== HEAD) throw new Error(`${path} is no file of keys: it does not begin with "${HEAD}"`);
      return lines.filter((line) => line !== '').map((line) => Buffer.from(line, 'base64'));
    } finally {
      await file.close();
    }
  }

  async write(path: string, keys: Iterable<Uint8Array>): Promise<void> {
    const lines = [HEAD];
    for (const key of keys) lines.push(Buffer.from(key).toString('base64'));
    await mkdir(dirname(path), { recursive: true });
    const next = `${path}.next`;
    const file = await open(next, 'w');
    try {
      await file.writeFile(`${lines.join('\n')}\n`);
      await file.close();
      await rename(next, path);
    } catch (error) {
      await rm(next, { force: true });
      throw error;
    }
  }
}
