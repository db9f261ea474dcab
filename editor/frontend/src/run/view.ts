/* Panning, zooming and what a graph begins with. One layer moves; React renders nothing meanwhile. */

import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef } from 'react';
import type { Box } from './drawing';

const MARGIN = 36;
const MOST = 2;
const LEAST = 0.1;
const FIT_MOST = 1.1;
/** A graph that would be drawn smaller than this begins larger, at what goes on; a button shows the whole of it. */
const READABLE = 0.55;
const NEAR = 0.8;
const SETTLE_MS = 250;
interface View {
  readonly x: number;
  readonly y: number;
  readonly zoom: number;
}

/** Where an axis begins so that `centre` is in the middle, as far as the graph reaches to both sides. */
export function offset(room: number, from: number, length: number, centre: number): number {
  if (length * NEAR + 2 * MARGIN <= room) return (room - length * NEAR) / 2 - from * NEAR;
  const least = room - MARGIN - (from + length) * NEAR;
  return Math.min(MARGIN - from * NEAR, Math.max(least, room / 2 - centre * NEAR));
}

/** Where the layer stands. Kept outside React's state: a pan writes one style and renders nothing. `first` is what a
    view of a large graph begins with. */
export function useView(
  stage: RefObject<HTMLElement | null>,
  layer: RefObject<HTMLDivElement | null>,
  bounds: Box,
  first: Box | undefined,
) {
  const view = useRef<View>({ x: 0, y: 0, zoom: 1 });
  const touched = useRef(false);
  const wanted = useRef(bounds);
  const start = useRef(first);
  const settle = useRef(0);

  const put = useCallback(
    (next: View) => {
      const element = layer.current;
      view.current = next;
      if (!element) return;
      element.style.transform = `translate(${next.x}px, ${next.y}px) scale(${next.zoom})`;
      // While it moves, the layer is a picture of its own; at rest it is drawn anew, sharp at its zoom.
      element.classList.add('graph-layer--moving');
      window.clearTimeout(settle.current);
      settle.current = window.setTimeout(() => element.classList.remove('graph-layer--moving'), SETTLE_MS);
    },
    [layer],
  );
  const show = useCallback(
    (box: Box, near?: Box) => {
      const room = stage.current?.getBoundingClientRect();
      if (!room || room.width === 0) return;
      const scale = Math.min((room.width - 2 * MARGIN) / box.width, (room.height - 2 * MARGIN) / box.height);
      if (near && scale < READABLE) {
        const { width, height } = room;
        put({
          zoom: NEAR,
          x: offset(width, box.x, box.width, near.x + near.width / 2),
          y: offset(height, box.y, box.height, near.y + near.height / 2),
        });
        return;
      }
      const zoom = Math.min(FIT_MOST, Math.max(LEAST, scale));
      put({
        zoom,
        x: (room.width - box.width * zoom) / 2 - box.x * zoom,
        y: (room.height - box.height * zoom) / 2 - box.y * zoom,
      });
    },
    [stage, put],
  );
  const zoomAt = useCallback(
    (factor: number, x: number, y: number) => {
      touched.current = true;
      const now = view.current;
      const zoom = Math.min(MOST, Math.max(LEAST, now.zoom * factor));
      const by = zoom / now.zoom;
      put({ zoom, x: x - (x - now.x) * by, y: y - (y - now.y) * by });
    },
    [put],
  );

  // Fits once, and again when the window changes as long as nobody has moved the view.
  useLayoutEffect(() => {
    const element = stage.current;
    if (!element) return;
    show(wanted.current, start.current);
    const watch = new ResizeObserver(() => {
      if (!touched.current) show(wanted.current, start.current);
    });
    watch.observe(element);
    return () => watch.disconnect();
  }, [show, stage]);

  useEffect(() => {
    const element = stage.current;
    if (!element) return;
    const pan = (dx: number, dy: number): void => {
      touched.current = true;
      put({ ...view.current, x: view.current.x + dx, y: view.current.y + dy });
    };
    return panAndZoom(element, pan, zoomAt);
  }, [stage, put, zoomAt]);

  return {
    zoomBy: (factor: number) => {
      const room = stage.current?.getBoundingClientRect();
      zoomAt(factor, (room?.width ?? 0) / 2, (room?.height ?? 0) / 2);
    },
    fit: () => {
      touched.current = false;
      wanted.current = bounds;
      start.current = undefined;
      show(bounds);
    },
  };
}

function panAndZoom(
  element: HTMLElement,
  pan: (dx: number, dy: number) => void,
  zoom: (factor: number, x: number, y: number) => void,
): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  element.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault();
      const box = element.getBoundingClientRect();
      if (event.ctrlKey || event.metaKey) {
        zoom(Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
      } else {
        pan(-event.deltaX, -event.deltaY);
      }
    },
    { passive: false, signal },
  );
  element.addEventListener(
    'pointerdown',
    (event) => {
      if ((event.target as Element).closest('button')) return;
      element.setPointerCapture(event.pointerId);
      element.classList.add('graph--panning');
    },
    { signal },
  );
  element.addEventListener(
    'pointermove',
    (event) => {
      if (element.hasPointerCapture(event.pointerId)) pan(event.movementX, event.movementY);
    },
    { signal },
  );
  element.addEventListener('lostpointercapture', () => element.classList.remove('graph--panning'), {
    signal,
  });
  return () => stop.abort();
}
