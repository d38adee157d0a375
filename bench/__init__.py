"""`make bench`: this server, a plain Node.js Socket.IO server and a bare websocket server, driven side by side."""
