/* Clock of the camera. A worker's timer goes on at its rate while the page is behind another window. */
setInterval(() => postMessage(0), 1000 / 30);
