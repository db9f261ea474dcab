/* A small, still picture of a workflow, drawn from the same layout as the editor and the run page. */

import { readDocument } from '../graph/document';
import { boundText } from '../graph/loops';
import { type Json, list, record } from '../live/parse';
import { type DrawnEdge, draw } from '../run/drawing';
import { type PlannedRun, planRun } from '../run/plan';
import { kindWords } from '../run/words';
import { getJson, pageData } from '../ui/http';

const SVG = 'http://www.w3.org/2000/svg';
const MARGIN = 12;
const LABEL_LETTERS = 26;

type Attributes = Record<string, string | number>;

function shape(name: string, attributes: Attributes, text?: string): SVGElement {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
}

function paint(root: HTMLElement, plan: PlannedRun): void {
  const drawing = draw(plan.graph, plan.places, plan.loopEdges, []);
  const { x, y, width, height } = drawing.bounds;
  const box = [x - MARGIN, y - MARGIN, width + 2 * MARGIN, height + 2 * MARGIN].join(' ');
  const svg = shape('svg', {
    viewBox: box,
    width: width + 2 * MARGIN,
    height: height + 2 * MARGIN,
    class: 'still',
  });
  svg.append(arrow());
  for (const group of drawing.groups) {
    svg.append(shape('rect', { class: 'still-group', ...sides(group), rx: 12 }));
    svg.append(shape('text', { class: 'still-note', x: group.x + 12, y: group.y + 18 }, group.label));
  }
  for (const edge of drawing.edges) svg.append(...edgeShapes(edge, boundOf(edge)));
  for (const [id, node] of drawing.nodes) {
    svg.append(shape('rect', { class: 'still-node', ...sides(node), rx: 8 }));
    const kind = kindWords(plan.kinds.get(id) ?? 'task');
    const middle = { x: node.x + 16 };
    svg.append(
      shape('text', { class: 'still-label', ...middle, y: node.y + 27 }, short(plan.labels.get(id) ?? id)),
    );
    svg.append(shape('text', { class: 'still-note', ...middle, y: node.y + 46 }, kind));
  }
  root.replaceChildren(svg);

  function boundOf(edge: DrawnEdge): string | null {
    if (!edge.isLoop) return edge.on === 'success' ? null : `on ${edge.on}`;
    const loop = [...plan.analysis.loops.values()].find(
      (candidate) => candidate.edge.source === edge.source && candidate.edge.target === edge.target,
    );
    return loop ? boundText(loop.bound) : null;
  }
}

function arrow(): SVGElement {
  const size = { viewBox: '0 0 8 8', refX: 6, refY: 4, markerWidth: 7, markerHeight: 7, orient: 'auto' };
  const marker = shape('marker', { id: 'still-arrow', ...size });
  marker.append(shape('path', { class: 'still-arrow', d: 'M0 0 L8 4 L0 8 z' }));
  return marker;
}

function edgeShapes(edge: DrawnEdge, note: string | null): SVGElement[] {
  const path = shape('path', {
    class: edge.isLoop ? 'still-edge still-edge--loop' : 'still-edge',
    d: edge.path,
    'marker-end': 'url(#still-arrow)',
  });
  if (!note) return [path];
  const width = note.length * 6.5 + 18;
  const at = { x: edge.middle.x - width / 2, y: edge.middle.y - 11, width, height: 22 };
  const words = {
    class: 'still-badge-text',
    x: edge.middle.x,
    y: edge.middle.y + 4,
    'text-anchor': 'middle',
  };
  return [path, shape('rect', { class: 'still-badge', ...at, rx: 11 }), shape('text', words, note)];
}

function sides(box: { x: number; y: number; width: number; height: number }): Attributes {
  return { x: box.x, y: box.y, width: box.width, height: box.height };
}

function short(label: string): string {
  return label.length <= LABEL_LETTERS ? label : `${label.slice(0, LABEL_LETTERS - 1)}…`;
}

const root = document.getElementById('graph-preview');
const definition = record(pageData().document);
if (root && readDocument(definition).nodes.length) void show(root);
else if (root) root.hidden = true;

/** Draws at once; limits that only the code of a task sets follow when the catalogue has told them. */
async function show(element: HTMLElement): Promise<void> {
  const plan = planRun({ definition });
  paint(element, plan);
  const isOpen = [...plan.analysis.loops.values()].some(({ bound }) => bound.from !== 'step');
  if (!isOpen) return;
  const catalogue = await getJson('tasks/').catch((): Json => ({}));
  const known = list(catalogue.results)
    .map(record)
    .map(({ name, defaults }) => ({
      uses: name,
      max_cycle: record(defaults).max_cycle,
      max_cycle_from: 'code',
    }));
  paint(element, planRun({ definition, tasks: known }));
}
