"""Neuron Meet's signaling server: rooms, presence and WebRTC signaling over Socket.IO."""

__version__ = "0.1.0"
