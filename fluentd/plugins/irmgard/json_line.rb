# frozen_string_literal: true

require 'json'

module Irmgard
  # JSON as RFC 8259 has it. Ruby's parser takes more, which differs between its versions, and logq must read the same.
  module JsonLine
    MAX_NESTING = 127
    INTEGERS = (-(2**63)..(2**64 - 1)).freeze

    STRING = /"(?:[^"\\]|\\.)*"/m
    COMMENT_PERHAPS = %r{/[/*]}
    WRONG_ESCAPE = %r{\\(?:[^"\\/bfnrtu]|u(?!\h{4}))}
    SURROGATE = /\\u[dD][89a-fA-F]/
    PAIR = /\\u[dD][89abAB]\h\h\\u[dD][c-fC-F]\h\h/
    # What a number must have to be too large for 64 bits or for a float.
    LARGE_PERHAPS = /\d{19}|[eE]\+?\d{3}/

    module_function

    # The object that the text is, or nil.
    def object(text)
      return if text.include?('\\') && !escapes?(text)
      return if COMMENT_PERHAPS.match?(text) && text.gsub(STRING, '').include?('/')

      value = JSON.parse(text, max_nesting: MAX_NESTING, allow_duplicate_key: true)
      return unless value.is_a?(Hash)

      LARGE_PERHAPS.match?(text) ? finite(value) : value
    rescue JSON::ParserError, FloatDomainError
      nil
    end

    # Compact, keys sorted: how a value is written as a text.
    def text(value)
      value.is_a?(String) ? value : JSON.generate(sorted(value), max_nesting: 0)
    end

    def sorted(value)
      case value
      when Hash then value.sort.to_h { |key, inner| [key, sorted(inner)] }
      when Array then value.map { |inner| sorted(inner) }
      else value
      end
    end

    def escapes?(text)
      rest = text.gsub('\\\\', '')
      return false if WRONG_ESCAPE.match?(rest)

      !SURROGATE.match?(rest) || !SURROGATE.match?(rest.gsub(PAIR, ''))
    end

    # Numbers that fit: integers beyond 64 bits as floats; FloatDomainError where even that is not possible.
    def finite(value)
      case value
      when Hash then value.transform_values { |inner| finite(inner) }
      when Array then value.map { |inner| finite(inner) }
      when Integer then INTEGERS.cover?(value) ? value : finite(value.to_f)
      when Float then value.finite? ? value : raise(FloatDomainError)
      else value
      end
    end
  end
end
