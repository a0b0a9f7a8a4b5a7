import { drawingOf } from './draw-batch.js';
import { serveDrawing } from './draw-service.js';

serveDrawing(drawingOf);
