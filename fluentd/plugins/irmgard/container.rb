# frozen_string_literal: true

require 'digest'
require_relative 'cri'
require_relative 'held'

module Irmgard
  # One container's log: makes records of what the runtime wrote.
  class Container
    # Seconds after which a trace is given away when nothing follows, and an unfinished line.
    TRACE_SECONDS = 1
    PARTS_SECONDS = 5
    # Seconds for which it is remembered what was joined.
    KNOWN_SECONDS = 60

    def initialize(file)
      @file = file
      @held = {}
    end

    # Takes a line of the log's file; yields the records that are complete with it.
    def add(bytes, now, &block)
      time, stream, whole, text = Cri.parse(bytes)
      return unmatched(bytes, &block) unless time

      held = @held[stream]
      # Nearly every line: nothing is held, it is whole, it starts no trace.
      if held.nil? && whole
        clean, tags = Held.clean(text)
        return yield(record(time, clean, tags, stream)) unless Trace.start(clean)
      end
      held ||= @held[stream] = Held.new(now)
      held.touched = now
      held.add(time, whole, text) { |line| yield record(line.time, line.text, line.tags, stream) }
    end

    # Says whether lines were joined or held since the last time.
    def end_batch
      @held.each_value.map(&:end_batch).any?
    end

    # Gives away what has been held for too long; says whether it did or forgot something.
    def flush(now)
      changed = false
      @held.each do |stream, held|
        next if held.empty? || now - held.touched <= (held.parts? ? PARTS_SECONDS : TRACE_SECONDS)

        held.flush { |line| yield record(line.time, line.text, line.tags, stream) }
        changed = true
      end
      before = @held.size
      @held.delete_if { |_, held| held.empty? && now - held.touched > KNOWN_SECONDS }
      changed || @held.size != before
    end

    def touch(now)
      @held.each_value { |held| held.touched = now }
    end

    # Whether there is nothing to remember.
    def idle?
      @held.empty?
    end

    # All of it as plain values, and back.
    def state
      [@file.to_a, @held.transform_values(&:state)]
    end

    def self.restored(state, now)
      new(PodFile.new(*state[0])).tap { |container| container.restore(state, now) }
    end

    def restore(state, now)
      @held = state[1].transform_values { |held| Held.restored(held, now) }
    end

    private

    # A line that no runtime has written. Its id does without the time, which is different each time that it is read.
    def unmatched(bytes)
      text, tags = Held.clean(bytes.b)
      yield record('', text, tags << 'unmatched-cri', nil).merge('time' => Clock.now)
    end

    def record(time, text, tags, stream)
      record = {
        'line' => text, 'time' => time, 'tags' => tags, 'stream' => stream,
        'id' => Digest::SHA256.hexdigest("#{@file.identity}#{time}\0#{text}")
      }
      @file.uid ? record.merge!(pod) : record
    end

    # Who wrote it, for this project's plugin, and where the plugin kubernetes_metadata looks for it (by `container_id`
    # it only finds again what it knows already, so the pod's uid serves).
    def pod
      {
        'pod' => @file.to_h.slice(:namespace, :pod, :uid, :container).transform_keys(&:to_s),
        'kubernetes' => {
          'namespace_name' => @file.namespace, 'pod_name' => @file.pod, 'container_name' => @file.container
        },
        'docker' => { 'container_id' => @file.uid }
      }
    end
  end
end
