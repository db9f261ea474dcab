/* Times in words. The server renders the same words first (editor/words.py); these keep them fresh. */

const UNITS = [
  [86_400, 'day'],
  [3_600, 'hour'],
  [60, 'minute'],
] as const;

export function agoWords(at: Date, now: Date = new Date()): string {
  const seconds = (now.getTime() - at.getTime()) / 1000;
  for (const [size, name] of UNITS) {
    const count = Math.floor(Math.abs(seconds) / size);
    if (count > 0) {
      const words = `${count} ${name}${count === 1 ? '' : 's'}`;
      return seconds > 0 ? `${words} ago` : `in ${words}`;
    }
  }
  return seconds >= 0 ? 'just now' : 'in a moment';
}

export function spanWords(seconds: number): string {
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
}

export function secondsBetween(from: string, to: string | null, now: Date = new Date()): number {
  return ((to ? new Date(to) : now).getTime() - new Date(from).getTime()) / 1000;
}

export function clockTime(at: string): string {
  return new Date(at).toLocaleTimeString(undefined, {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hour12: false,
  });
}

export function fullTime(at: string): string {
  return new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}
