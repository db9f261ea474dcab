/* What keeps a graph from running, or will surprise: found here at once, while the server is still thinking.

   Codes and paths are the engine's own, so that its answer replaces what was found here. */

import { expressionOf, type Graph, type GraphNode, isExpression, kindOf, labelOf, text } from './document';
import { type Analysis, boundReason, canEnd, hasExit } from './loops';

export type Severity = 'error' | 'warning';

export type Problem = {
  readonly code: string;
  readonly message: string;
  /** The place in the document: `edges[3].target`. */
  readonly path: string;
  readonly severity: Severity;
};

export type Known = {
  /** Names of registered tasks; undefined while the catalogue has not come. */
  readonly uses?: ReadonlySet<string> | undefined;
};

/** What a path means on the canvas. `field` is the rest of the path below the thing. */
export type Target = {
  readonly kind: 'node' | 'edge' | 'group' | 'workflow';
  readonly id: string;
  readonly field: string;
};

export function findProblems(graph: Graph, analysis: Analysis, known: Known = {}): Problem[] {
  return [...nameProblems(graph), ...stepProblems(graph, analysis, known), ...edgeProblems(graph, analysis)];
}

/** The server knows best: its errors, and of ours what it does not report (warnings). */
export function mergeProblems(local: readonly Problem[], server: readonly Problem[] | undefined): Problem[] {
  if (!server) return [...local];
  return [...server, ...local.filter((problem) => problem.severity === 'warning')];
}

/** The engine's messages follow a path on a command line; beside a field they stand alone. */
export function sentence(message: string): string {
  const words = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?…]$/.test(words) ? words : `${words}.`;
}

export function targetOf(graph: Graph, path: string): Target {
  const found = /^(tasks|edges|groups)\[(\d+)\]\.?(.*)$/.exec(path);
  if (found) {
    const [, list, index, field] = found as unknown as [string, string, string, string];
    const item = (list === 'tasks' ? graph.nodes : list === 'edges' ? graph.edges : graph.groups)[
      Number(index)
    ];
    const kind = list === 'tasks' ? 'node' : list === 'edges' ? 'edge' : 'group';
    if (item) return { kind, id: item.id, field };
  }
  return { kind: 'workflow', id: '', field: path };
}

function error(code: string, message: string, path: string): Problem {
  return { code, message, path, severity: 'error' };
}

function warning(code: string, message: string, path: string): Problem {
  return { code, message, path, severity: 'warning' };
}

function nameProblems(graph: Graph): Problem[] {
  const found: Problem[] = [];
  const seen = new Set<string>();
  graph.nodes.forEach(({ id }, index) => {
    if (!id) found.push(error('missing_key', 'This step has no id.', `tasks[${index}].id`));
    else if (seen.has(id))
      found.push(
        error(
          'duplicate_id',
          `The id “${id}” is used twice; give this step another one.`,
          `tasks[${index}].id`,
        ),
      );
    seen.add(id);
  });
  const tasks = new Set(graph.nodes.map((node) => node.id));
  graph.groups.forEach((group, index) => {
    if (seen.has(group.id))
      found.push(error('duplicate_id', `The id “${group.id}” is used twice.`, `groups[${index}].id`));
    seen.add(group.id);
    if (group.members.length === 0)
      found.push(
        error('empty_group', `The group “${labelOf(group)}” has no members.`, `groups[${index}].members`),
      );
    group.members.forEach((member, at) => {
      if (!tasks.has(member))
        found.push(
          error(
            'unknown_task',
            `There is no step “${member}” to be a member.`,
            `groups[${index}].members[${at}]`,
          ),
        );
    });
  });
  if (graph.nodes.length === 0)
    found.push(error('no_tasks', 'The workflow has no steps yet; add the first one.', 'tasks'));
  return found;
}

function stepProblems(graph: Graph, analysis: Analysis, known: Known): Problem[] {
  return graph.nodes.flatMap((node, index) => {
    const path = `tasks[${index}]`;
    const found: Problem[] = [];
    const name = labelOf(node);
    if (!analysis.reached.has(node.id))
      found.push(
        error('unreachable_task', `“${name}” cannot be reached from the start; draw an edge to it.`, path),
      );
    const uses = text(node.fields.uses);
    if (kindOf(node) === 'task' && !uses)
      found.push(error('missing_key', `“${name}” does not say which task it runs.`, `${path}.uses`));
    if (uses && known.uses && !known.uses.has(uses))
      found.push(error('unknown_task', `There is no registered task “${uses}”.`, `${path}.uses`));
    if (kindOf(node) === 'choice' && !hasOptions(node.fields.options))
      found.push(
        node.fields.options === undefined
          ? error('missing_key', `“${name}” has no options to choose from.`, `${path}.options`)
          : warning('no_options', `“${name}” has no options to choose from.`, `${path}.options`),
      );
    if (kindOf(node) === 'transform' && isBlankExpression(node.fields.value))
      found.push(error('bad_expression', `“${name}” has no expression to compute.`, `${path}.value`));
    for (const [key, words] of Object.entries(REQUIRED[kindOf(node)] ?? {})) {
      if (node.fields[key] === undefined)
        found.push(error('missing_key', `“${name}” ${words}.`, `${path}.${key}`));
    }
    return [...found, ...outsideProblems(node, path)];
  });
}

/** What a kind cannot do without, and what a step that lacks it says. */
const REQUIRED: Record<string, Readonly<Record<string, string>>> = {
  form: { schema: 'has no fields to fill in' },
  transform: { value: 'has no expression to compute' },
  delay: { seconds: 'does not say how long it waits' },
  map: { uses: 'does not say which task it runs for each item', items: 'has no list of items' },
  http: { url: 'has no address to call' },
  workflow: { workflow: 'does not say which workflow it runs' },
  notify: { message: 'has no message to send' },
};

/** Steps that reach out of the workflow: an address that cannot be called, a notice to nobody. */
function outsideProblems({ id, fields }: GraphNode, path: string): Problem[] {
  const name = text(fields.label) || id;
  const { kind, url, expect, to, webhook, message } = fields;
  const found: Problem[] = [];
  if (kind === 'http' && typeof url === 'string' && !/^https?:\/\/[^/\s]/i.test(url))
    found.push(
      error('wrong_value', `The address of “${name}” has to begin with https:// or http://.`, `${path}.url`),
    );
  if (kind === 'http' && isExpression(url) && url.$.trim() === '')
    found.push(error('bad_expression', `The address of “${name}” has no expression.`, `${path}.url`));
  if (kind === 'http' && Array.isArray(expect) && !(expect.length > 0 && expect.every(isStatusCode)))
    found.push(
      error('wrong_value', `“${name}” expects something else than codes from 100 to 599.`, `${path}.expect`),
    );
  if (kind === 'notify' && !webhook && !(Array.isArray(to) && to.length > 0))
    found.push(error('missing_key', `“${name}” tells nobody: name a recipient or a webhook.`, `${path}.to`));
  if (kind === 'notify' && typeof message === 'string' && message.trim() === '')
    found.push(warning('no_message', `“${name}” sends an empty message.`, `${path}.message`));
  return found;
}

function isStatusCode(code: unknown): boolean {
  return Number.isInteger(code) && Number(code) >= 100 && Number(code) <= 599;
}

function hasOptions(value: unknown): boolean {
  return Array.isArray(value) && value.some((option) => typeof option === 'string' && option.trim() !== '');
}

function isBlankExpression(value: unknown): boolean {
  return isExpression(value) && value.$.trim() === '';
}

function edgeProblems(graph: Graph, analysis: Analysis): Problem[] {
  const names = new Set([...graph.nodes, ...graph.groups].map((item) => item.id));
  const seen = new Set<string>();
  return graph.edges.flatMap((edge, index) => {
    const path = `edges[${index}]`;
    const found: Problem[] = [];
    for (const key of ['source', 'target'] as const) {
      if (!names.has(edge[key]))
        found.push(error('unknown_task', `There is no step or group “${edge[key]}”.`, `${path}.${key}`));
    }
    const same = JSON.stringify([
      edge.source,
      edge.target,
      edge.fields.on ?? 'success',
      expressionOf(edge.fields.when) ?? '',
    ]);
    if (seen.has(same))
      found.push(error('duplicate_edge', `${edge.source} → ${edge.target} is drawn twice.`, path));
    seen.add(same);
    if (analysis.refused.has(edge.id))
      found.push(
        error(
          'cycle_not_allowed',
          `${edge.source} → ${edge.target} closes a cycle, but is no loop edge.`,
          `${path}.loop`,
        ),
      );
    return [...found, ...loopProblems(graph, analysis, edge.id, path)];
  });
}

function loopProblems(graph: Graph, analysis: Analysis, id: string, path: string): Problem[] {
  const loop = analysis.loops.get(id);
  if (!loop) return [];
  const name = `The loop ${loop.edge.source} → ${loop.edge.target}`;
  if (analysis.notClosing.has(id))
    return [
      error(
        'loop_not_closing',
        `${name} closes no cycle: ${loop.edge.source} does not follow ${loop.edge.target}.`,
        `${path}.loop`,
      ),
    ];
  if (analysis.intoGroup.has(id))
    return [
      error(
        'loop_into_group',
        `${name} leads into the middle of a group; draw it to the whole group.`,
        `${path}.target`,
      ),
    ];
  if (!canEnd(graph, loop))
    return [error('endless_loop', `${name} can never end: no limit, no condition and no convergence.`, path)];
  if (!hasExit(graph, loop))
    return [
      warning(
        'loop_without_exit',
        `${name} always runs to its bound (${boundReason(loop.bound)}): nothing ends it earlier.`,
        path,
      ),
    ];
  return [];
}
