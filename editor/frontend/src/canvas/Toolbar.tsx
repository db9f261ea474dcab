/* Buttons that are one tab stop: the arrows move between them. */

import { type KeyboardEvent, type ReactNode, useLayoutEffect, useRef } from 'react';

export function Toolbar({
  label,
  className,
  children,
}: {
  label: string;
  className: string;
  children: ReactNode;
}) {
  const bar = useRef<HTMLDivElement>(null);
  const buttons = () => [...(bar.current?.querySelectorAll<HTMLElement>('button') ?? [])];
  const stopAt = (stop: HTMLElement | undefined) => {
    for (const button of buttons()) button.tabIndex = button === stop ? 0 : -1;
  };

  useLayoutEffect(() => {
    const [first, ...rest] = bar.current?.querySelectorAll<HTMLElement>('button') ?? [];
    if (first) first.tabIndex = 0;
    for (const button of rest) button.tabIndex = -1;
  }, []);

  const onKeyDown = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (step === 0) return;
    const all = buttons();
    const next = all[(all.indexOf(document.activeElement as HTMLElement) + step + all.length) % all.length];
    stopAt(next);
    next?.focus();
    event.preventDefault();
  };

  return (
    <div
      ref={bar}
      className={className}
      role="toolbar"
      aria-label={label}
      tabIndex={-1}
      onKeyDown={onKeyDown}
      onFocus={(event) => event.target instanceof HTMLButtonElement && stopAt(event.target)}
    >
      {children}
    </div>
  );
}
