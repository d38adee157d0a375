// The other side of `make bench`: plain socket.io 4 and the Prisma JS client, in the fewest lines that do what
// docs/protocol.md asks of a server without protections (no token check, no limits, no recovery, rows never closed).
// Its queries are the ones of the server that Neuron Meet's replaced: room, messages, participant.
import { createServer } from 'node:http'
import { PrismaPg } from '@prisma/adapter-pg'
import { Server } from 'socket.io'
import { PrismaClient } from './generated/client/index.js'

const { host, user, database } = JSON.parse(process.env.BENCH_DATABASE)
const prisma = new PrismaClient({ adapter: new PrismaPg({ host, user, database }) })
const http = createServer()
const io = new Server(http)
const rooms = new Map() // room id → Map of socket id → participant

const AUTHOR = { id: true, name: true, displayName: true }

async function join(socket, { roomCode, userId, displayName }) {
  const room = await prisma.room.findUnique({ where: { code: roomCode }, include: { settings: true } })
  if (!room) throw new Error('Room not found')
  if (!room.isActive) throw new Error('Room is no longer active')
  if (room.isLocked) throw new Error('Room is locked')
  const present = rooms.get(room.id) ?? rooms.set(room.id, new Map()).get(room.id)
  if (room.settings && present.size >= room.settings.maxParticipants) throw new Error('Room is full')
  const messages = await prisma.message.findMany({
    where: { roomId: room.id },
    orderBy: { createdAt: 'asc' },
    take: 50,
    include: { user: { select: AUTHOR } },
  })
  const isHost = userId === room.hostId
  await prisma.participant.create({
    data: { roomId: room.id, userId, guestName: userId ? null : displayName, isHost },
  })
  if (socket.data.me) leave(socket)
  for (const other of present.values()) if (userId && other.userId === userId) leave(io.sockets.sockets.get(other.socketId))
  const state = { isMuted: false, isVideoOff: false, isScreenSharing: false, isHandRaised: false }
  const me = { socketId: socket.id, userId, displayName, roomId: room.id, isHost, ...state }
  const joined = {
    roomId: room.id,
    roomCode,
    isHost,
    participants: [...present.values()],
    messages: messages.map((message) => ({
      id: message.id,
      senderId: message.userId,
      senderName: message.senderName,
      content: message.content,
      type: message.type,
      timestamp: message.createdAt.toISOString(),
      user: message.user,
    })),
    settings: room.settings && {
      allowScreenShare: room.settings.allowScreenShare,
      allowChat: room.settings.allowChat,
      waitingRoom: room.settings.waitingRoom,
    },
  }
  rooms.set(room.id, present.set(socket.id, me))
  socket.data.me = me
  socket.join(room.id)
  const { roomId, ...participant } = me
  socket.to(room.id).emit('user-joined', { participant })
  socket.emit('room-joined', joined)
  return { success: true, ...joined }
}

function leave(socket) {
  const { me } = socket.data
  if (!me) return
  socket.data.me = undefined
  const present = rooms.get(me.roomId)
  present.delete(socket.id)
  if (!present.size) rooms.delete(me.roomId)
  socket.leave(me.roomId)
  io.to(me.roomId).emit('user-left', { socketId: socket.id, userId: me.userId })
}

async function chat(socket, { roomId, content }) {
  const { me } = socket.data
  if (!content?.trim()) throw new Error('Message content is required')
  const row = await prisma.message.create({
    data: { roomId, userId: me.userId, senderName: me.displayName, content: content.trim() },
    include: { user: { select: { id: true, name: true, avatarUrl: true } } },
  })
  const message = {
    id: row.id,
    senderId: socket.id,
    senderName: row.senderName,
    content: row.content,
    type: row.type,
    timestamp: row.createdAt.toISOString(),
    user: row.user,
  }
  io.to(roomId).emit('chat-message', message)
  return { success: true, message: { ...message, senderId: row.userId } }
}

io.on('connection', (socket) => {
  const { data } = socket
  const answered = (handler) => (payload, ack) =>
    handler(socket, payload).then(ack, (error) => ack?.({ success: false, error: error.message }))
  const relay = (event, extra) =>
    socket.on(event, ({ targetId, ...payload }) =>
      io.to(targetId).emit(event, { senderId: socket.id, ...extra?.(), ...payload }))
  const media = (event, told, key, value) =>
    socket.on(event, ({ roomId, enabled }) => {
      data.me[key] = value ?? !enabled
      socket.to(roomId).emit(told, { socketId: socket.id, ...(value === undefined && { enabled }) })
    })
  const typing = (event, isTyping) =>
    socket.on(event, ({ roomId }) =>
      socket.to(roomId).emit('user-typing', { socketId: socket.id, displayName: data.me.displayName, isTyping }))

  socket.on('join-room', answered(join))
  socket.on('leave-room', (_payload, ack) => {
    leave(socket)
    ack?.({ success: true })
  })
  socket.on('disconnect', () => leave(socket))
  relay('offer', () => ({ userId: data.me.userId, displayName: data.me.displayName }))
  relay('answer')
  relay('ice-candidate')
  media('toggle-audio', 'user-toggle-audio', 'isMuted')
  media('toggle-video', 'user-toggle-video', 'isVideoOff')
  media('start-screen-share', 'screen-share-started', 'isScreenSharing', true)
  media('stop-screen-share', 'screen-share-stopped', 'isScreenSharing', false)
  socket.on('chat-message', answered(chat))
  typing('typing-start', true)
  typing('typing-stop', false)
})

await prisma.$connect()
http.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ url: `http://127.0.0.1:${http.address().port}` })))
process.once('SIGTERM', () => process.exit(0))
