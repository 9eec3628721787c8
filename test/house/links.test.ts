/** The links of the pages that people read: every relative one leads to a file, and its heading is there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const project = fileURLToPath(new URL('../..', import.meta.url));
const pages = [
  ...['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
  ...readdirSync(join(project, 'docs'))
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`),
];

/** Targets of inline links and images, and of reference definitions, outside of code. */
function relativeLinks(text: string): string[] {
  const prose = text.replace(/^(`{3,}|~{3,})[\s\S]*?^\1/gm, '').replace(/`[^`\n]*`/g, '');
  const inline = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)>?[^)]*\)/g)];
  const references = [...prose.matchAll(/^\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)/gm)];
  return [...inline, ...references]
    .map(([, target]) => target as string)
    .filter((target) => !/^[a-z][a-z0-9+.-]*:/i.test(target));
}

/** The anchors that the headings of a page get. */
function anchorsOf(text: string): Set<string> {
  const prose = text.replace(/^(`{3,}|~{3,})[\s\S]*?^\1/gm, '');
  const headings = [...prose.matchAll(/^#+ +(.+)$/gm)].map(([, heading]) => heading as string);
  return new Set(
    headings.map((heading) =>
      heading
        .trim()
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/\s/g, '-'),
    ),
  );
}

/** What is wrong with a link of a page, or null. */
function problemOf(page: string, link: string, read: (path: string) => string | null): string | null {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page : normalize(join(dirname(page), decodeURIComponent(path)));
  const text = read(target);
  if (text === null) return `${page}: ${link} leads to no file`;
  const isPage = target.endsWith('.md') && anchor !== undefined;
  return isPage && !anchorsOf(text).has(anchor) ? `${page}: ${link} leads to no heading` : null;
}

function readFile(path: string): string | null {
  const file = join(project, path);
  if (path.startsWith('..') || !existsSync(file)) return null;
  return path.endsWith('.md') ? readFileSync(file, 'utf8') : '';
}

describe('the links of the pages', () => {
  it.each(pages)('of %s all lead somewhere', (page) => {
    const links = relativeLinks(readFileSync(join(project, page), 'utf8'));
    expect(links.map((link) => problemOf(page, link, readFile)).filter((text) => text !== null)).toEqual([]);
  });

  it('are found: the README leads to the other pages', () => {
    const links = relativeLinks(readFileSync(join(project, 'README.md'), 'utf8'));
    expect(links).toEqual(expect.arrayContaining(['ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md']));
  });

  it('are told apart from code and from addresses, and broken ones are named', () => {
    const text = [
      '# A page: of `links`',
      '[a](docs/a.md) ![b](b.png "title") [c](https://example.com/c.md) `[d](d.md)` [e](#a-page-of-links)',
      '```',
      '[f](f.md)',
      '# no heading',
      '```',
      '[g]: g.md',
    ].join('\n');
    const links = relativeLinks(text);
    expect(links).toEqual(['docs/a.md', 'b.png', '#a-page-of-links', 'g.md']);
    const read = (path: string) => (path === 'x/page.md' ? text : null);
    expect(problemOf('x/page.md', '#a-page-of-links', read)).toBeNull();
    expect(problemOf('x/page.md', '#no-heading', read)).toBe('x/page.md: #no-heading leads to no heading');
    expect(problemOf('x/page.md', '../page.md', read)).toBe('x/page.md: ../page.md leads to no file');
  });
});
