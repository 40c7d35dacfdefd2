# frozen_string_literal: true

require 'json'
require 'set'
require_relative 'clock'

module Irmgard
  # The names of `logging/schema`, from schema.json, which the tests make of that crate.
  module Schema
    DATA = JSON.parse(File.read(File.join(__dir__, 'schema.json'))).freeze
    # Dotted name to kind.
    FIELDS = DATA.fetch('fields').freeze
    STREAMS = DATA.fetch('streams').freeze
    OTHER_STREAM = 'other'

    # Names in which others are nested.
    OBJECTS = FIELDS.keys.flat_map do |name|
      parts = name.split('.')
      (1...parts.size).map { |size| parts.first(size).join('.') }
    end.to_set.freeze

    PARTS = FIELDS.keys.to_h { |name| [name, name.split('.').freeze] }.freeze

    INTEGER = /\A-?\d{1,19}\z/
    NUMBER = /\A-?\d+(\.\d+)?([eE][+-]?\d+)?\z/
    LONG = (-(2**63)..(2**63 - 1)).freeze
    # Beyond this a double has no room for every whole number.
    EXACT = 2.0**53
    BOOLEANS = { true => true, false => false, 'true' => true, 'false' => false }.freeze

    module_function

    def stream(component)
      STREAMS.include?(component) ? component : OTHER_STREAM
    end

    # A dotted name's parts.
    def parts(name)
      PARTS[name] || name.split('.')
    end

    # Whether the name goes through one that is a value.
    def within_value?(name)
      parts = name.split('.')
      (1...parts.size).any? { |size| FIELDS.key?(parts.first(size).join('.')) }
    end

    # The value as the index takes it for this kind; calls the block where it contradicts.
    def fitting(kind, value)
      case kind
      when 'Keyword', 'Text' then text(value)
      when 'Long' then long(value)
      when 'Double' then double(value)
      when 'Boolean' then BOOLEANS[value]
      when 'Date', 'DateNanos' then value.is_a?(String) ? Clock.utc(value) : nil
      end.then { |taken| taken.nil? ? yield : taken }
    end

    def text(value)
      case value
      when String then value
      when Numeric, true, false then value.to_s
      end
    end

    def long(value)
      case value
      when Integer then value if LONG.cover?(value)
      when Float then value.to_i if value == value.floor && value.abs < EXACT
      when INTEGER then long(Integer(value, 10))
      end
    end

    def double(value)
      case value
      when Numeric then value
      when NUMBER then Float(value).then { |number| number if number.finite? }
      end
    end
  end
end
