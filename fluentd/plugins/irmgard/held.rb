# frozen_string_literal: true

require 'set'
require 'zlib'
require_relative 'trace'

module Irmgard
  # What one stream of one container has begun and not ended: parts of a line, and a stack trace.
  #
  # A file can be read twice: after a kill -9, and by two readers while it is rotated. Its lines then come again; those
  # that are held, or were joined in the batch before, are known and passed over. (A line that was not joined gets the
  # same id again, which OpenSearch refuses.)
  class Held
    # A joined line is cut here.
    MAX_BYTES = 1024 * 1024

    # A line as its program wrote it: the runtime's time of its first part, text in UTF-8, tags of what was done to it.
    Line = Struct.new(:time, :text, :tags)

    # When something was last held, in seconds of the monotonic clock.
    attr_accessor :touched

    def initialize(touched)
      @touched = touched
      reset_parts
      @trace = nil
      @tags = []
      @known = Set.new
      @taken = Set.new
    end

    # All of it as plain values, and back, so that it outlives the process.
    def state
      [@parts_time, @parts, @trace&.state, @tags, @known.to_a]
    end

    def self.restored(state, touched)
      new(touched).tap { |held| held.restore(*state) }
    end

    def restore(parts_time, parts, trace, tags, known)
      @parts_time = parts_time
      @parts = parts && String.new(parts)
      @trace = trace && Trace.restored(trace)
      @tags = tags
      @known = Set.new(known)
    end

    def empty?
      @parts.nil? && @trace.nil?
    end

    def parts?
      !@parts.nil?
    end

    # Takes what the runtime wrote; yields each line that is complete.
    def add(time, whole, bytes, &block)
      id = "#{time} #{Zlib.crc32(bytes)} #{bytes.bytesize}"
      return if @known.include?(id)
      return line(time, bytes, id, &block) if whole && @parts.nil?

      part(time, bytes)
      @taken << id
      return unless whole

      end_of_parts(id, &block)
    end

    # Ends the batch of lines that were read together: says whether any was joined or is held.
    def end_batch
      return false if @taken.empty?

      @known = empty? ? @taken : @known | @taken
      @taken = Set.new
      true
    end

    # Gives away everything that is held.
    def flush(&block)
      end_of_parts(nil, &block) if @parts
      end_of_trace(&block)
    end

    private

    def reset_parts
      @parts = @parts_time = nil
    end

    def part(time, bytes)
      @parts_time ||= time
      @parts ||= String.new
      # One byte more than is kept tells that something was cut.
      room = MAX_BYTES + 1 - @parts.bytesize
      @parts << bytes.byteslice(0, room) if room.positive?
    end

    def end_of_parts(id, &block)
      time = @parts_time
      bytes = @parts
      reset_parts
      line(time, bytes, id, &block)
    end

    def line(time, bytes, id)
      text, tags = Held.clean(bytes)
      if @trace
        if @trace.take(time, text)
          @tags |= tags
          return @taken << id
        end
        end_of_trace { |ended| yield ended }
      end
      kind = Trace.start(text)
      return yield(Line.new(time, text, tags)) unless kind

      @trace = Trace.new(kind, time, text)
      @tags = tags
      @taken << id
    end

    def end_of_trace
      return unless @trace

      trace = @trace
      @trace = nil
      yield Line.new(trace.time, trace.text, @tags)
    end

    class << self
      # The bytes as UTF-8, and what had to be done for it.
      def clean(bytes)
        tags = []
        if bytes.bytesize > MAX_BYTES
          bytes = cut(bytes)
          tags << 'cut'
        end
        text = bytes.force_encoding(Encoding::UTF_8)
        unless text.valid_encoding?
          text = text.scrub("\uFFFD")
          tags << 'scrubbed'
        end
        [text, tags]
      end

      # At most MAX_BYTES, without the beginning of a character at the end.
      def cut(bytes)
        kept = bytes.byteslice(0, MAX_BYTES).b
        kept.sub(/(?:[\xC2-\xDF]|[\xE0-\xEF][\x80-\xBF]?|[\xF0-\xF4][\x80-\xBF]{0,2})\z/n, '')
      end
    end
  end
end
