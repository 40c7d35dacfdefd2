# frozen_string_literal: true

require 'fiddle'
require 'msgpack'
require 'fluent/event'

module Irmgard
  # The Rust library `fluentd/normalizer`. Its C interface is described in normalizer/src/abi.rs.
  class Normalizer
    VERSION = 1
    Error = Class.new(StandardError)

    # Events by stream, messages of panics, and lines that are not documents.
    Response = Struct.new(:events, :panics, :rejected) do
      # Passes each stream's name and events.
      def each_stream
        events.each { |stream, count, bytes| yield stream, Fluent::MessagePackEventStream.new(bytes, nil, count) }
      end
    end

    POINTER = Fiddle::TYPE_VOIDP
    # A pointer and a length.
    BYTES = [POINTER, Fiddle::TYPE_SIZE_T].freeze
    CALLS = {
      open: BYTES * 2, feed: BYTES * 3, expire: [], commit: [], rollback: [], dead_letters: BYTES,
      notice: [Fiddle::TYPE_LONG_LONG, *BYTES, *BYTES]
    }.freeze

    def initialize(library)
      @library = Fiddle.dlopen(library)
      version = function(:version, [], Fiddle::TYPE_INT).call
      raise Error, "#{library} has version #{version}, but the plugin needs #{VERSION}" unless version == VERSION

      @calls = CALLS.to_h { |name, arguments| [name, function(name, [POINTER, *arguments], Fiddle::TYPE_INT)] }
      @response = function(:response, [POINTER], POINTER)
      @response_length = function(:response_length, [POINTER], Fiddle::TYPE_SIZE_T)
      # Not freed: the plugin's threads may use it until the process ends.
      @handle = function(:new, [], POINTER).call
      raise Error, "#{library} cannot create a normaliser" if @handle.null?

      @mutex = Mutex.new
    end

    # Calls a function of the library by its short name. A string becomes a pointer and a length.
    def call(name, *arguments)
      arguments = arguments.flat_map { |value| value.is_a?(String) ? [value, value.bytesize] : [value] }
      @mutex.synchronize do
        status = @calls.fetch(name).call(@handle, *arguments)
        response = @response.call(@handle)[0, @response_length.call(@handle)]
        raise Error, "#{name}: #{response.force_encoding(Encoding::UTF_8)}" unless status.zero?

        Response.new(*MessagePack.unpack(response).values_at('events', 'panics', 'rejected')).tap { response.clear }
      end
    end

    private

    def function(name, arguments, result)
      Fiddle::Function.new(@library["irmgard_normalizer_#{name}"], arguments, result)
    end
  end
end
